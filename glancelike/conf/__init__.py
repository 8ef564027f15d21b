"""The options of glance.conf, one file per topic; each has ``GROUPS`` (group name -> options) and nothing else.

Options of a driver stand on the driver's class (``OPTIONS``), not here.
"""
