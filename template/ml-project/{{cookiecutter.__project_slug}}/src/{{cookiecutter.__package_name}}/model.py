{% include cookiecutter.framework ~ "/model.py" ignore missing -%}
