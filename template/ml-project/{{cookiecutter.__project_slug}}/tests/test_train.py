{% include cookiecutter.__example ~ "/test_train.py" -%}
