"""The written answers: records of runs (records.py), tables made from them (tables.py), the threshold page.

A recorded run is one file `results/<entry_point>.json`; `python -m cnnlab.reports.tables` copies its figures into
README.md and the experiments' docstrings, so that no figure is typed by hand.
"""

from cnnlab.reports.records import Record, aggregate, read_records, write_record
from cnnlab.reports.threshold_page import threshold_page

__all__ = ["Record", "aggregate", "read_records", "threshold_page", "write_record"]
