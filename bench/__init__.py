"""What is measured, against which limit of the machine: ``python -m bench``. See README.rst."""
