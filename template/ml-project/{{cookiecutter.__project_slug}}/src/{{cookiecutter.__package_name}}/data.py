{% include cookiecutter.__example ~ "/data.py" -%}
