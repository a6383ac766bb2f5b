"""The code of this project; `kit run` starts `train.train`."""
