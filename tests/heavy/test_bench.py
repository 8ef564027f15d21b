"""The bench runs. What it measures is judged by nobody here."""

import json
import subprocess
import sys

from bench import metrics
from tests import base
from tests.servers.venvs import CHECKOUT

#: What a run has only with other web servers installed, or with a catalogue larger than that of a quick one.
SOMETIMES = ('uwsgi', 'gunicorn', 'page50', 'page500')


class BenchTest(base.TestCase):

    def test_a_quick_run_measures_everything_without_a_wrong_answer(self):
        file = self.tmp / 'report.json'
        process = subprocess.run([sys.executable, '-m', 'bench', '--quick', '--folder', self.tmp, '--json', file],
                                 cwd=CHECKOUT, capture_output=True, text=True)
        self.assertEqual(0, process.returncode, process.stderr)
        report = json.loads(file.read_text())
        self.assertEqual({}, report['faults'])
        always = {name for name in metrics.METRICS if not set(name.split('.')) & set(SOMETIMES)}
        self.assertEqual(set(), always - set(report['metrics']))
        self.assertEqual(set(), set(metrics.LIMITS) - set(report['limits']))
