# SPDX-License-Identifier: Apache-2.0
"""Rows of the benchmark: pairs of measurements, their ratios, the table."""

import statistics


class Row:
    """One case, measured in pairs: ours and the other's, one right after the
    other, in alternating order.  Values are rates: more is better."""

    def __init__(self, name, unit, other, bar=None):
        self.name, self.unit, self.other, self.bar = name, unit, other, bar
        self.ours, self.theirs = [], []

    def ratios(self):
        return [a['value'] / b['value']
                for a, b in zip(self.ours, self.theirs) if b['value'] > 0]

    def ratio(self):
        ratios = self.ratios()
        return statistics.median(ratios) if ratios else None

    def met(self):
        """None where there is no bar or nothing to hold against it."""
        ratio = self.ratio()
        return None if ratio is None or self.bar is None else ratio >= self.bar

    def as_dict(self):
        return {'case': self.name, 'unit': self.unit, 'other': self.other,
                'bar': self.bar, 'met': self.met(), 'ratio': self.ratio(),
                'ratios': self.ratios(), 'ours': self.ours,
                'theirs': self.theirs}


def median(samples, key):
    values = [s[key] for s in samples if s.get(key) is not None]
    return statistics.median(values) if values else None


def number(value):
    if value is None:
        return '-'
    if value >= 100:
        return f'{value:,.0f}'
    return f'{value:.1f}' if value >= 10 else f'{value:.2f}'


def pair(row, key):
    return f'{number(median(row.ours, key))} / ' \
        f'{number(median(row.theirs, key))}'


def cells(row):
    ratios = row.ratios()
    ratio = '-'
    if ratios:
        ratio = f'{row.ratio():.2f}'
        if len(ratios) > 1:
            ratio += f' ({min(ratios):.2f}..{max(ratios):.2f})'
    bar = '' if row.bar is None else f'>= {row.bar:.1f}'
    if row.met() is not None:
        bar += ' met' if row.met() else ' NOT MET'
    return [row.name, row.unit, number(median(row.ours, 'value')),
            f'{number(median(row.theirs, "value"))} {row.other}', ratio, bar,
            pair(row, 'cpu_s'), pair(row, 'store_cpu_s'),
            pair(row, 'client_cpu_s'), pair(row, 'peak_mib')]


HEAD = ['case', 'unit', 's3nfsd', 'other', 'ratio (range)', 'bar', 'CPU s',
        'store CPU s', 'load CPU s', 'peak MiB']


def table(rows):
    lines = [HEAD] + [cells(r) for r in rows if r.ours or r.theirs]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    lines.insert(1, ['-' * w for w in widths])
    return '\n'.join('  '.join(c.ljust(w) for c, w in zip(line, widths)).rstrip()
                     for line in lines)
