{% include cookiecutter.__example ~ "/train.py" -%}
