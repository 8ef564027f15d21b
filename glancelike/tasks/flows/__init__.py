"""What tasks do, as taskflow flows: each step undoes in ``revert`` what it did in ``execute``."""
