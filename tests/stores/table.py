#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs/stores.md, from what conform.py found: table.py STORE.row..."""
import json
import sys

NAMES = {
    'embedded': 'the embedded bucket', 'radosgw': 'radosgw 16.2 (Debian 12)',
    'minio': 'MinIO (February 2026)', 'versitygw': 'versitygw 1.8.0',
    'seaweedfs': 'SeaweedFS (November 2026)',
    'swift': 'Swift 2.30 with s3api (Debian 12)', 'moto': 'moto 5.1.4',
    's3mock': 'S3Mock 4.7.0', 's3proxy': 's3proxy 2.6.0 (files)',
    'rclone': '`rclone serve s3` 1.76.0',
}
HEAD = """# What each store holds

Made by `tests/check-stores --all --table docs/stores.md`; do not edit. One
conformance program uses a gateway over NFS and looks into the bucket beside
it. **yes**: the line holds. *degraded*: it holds but for what the note says.
*no*: this store cannot do it. **FAIL**: it could, and does not. A dash: not
looked at. Each limit is exact: more or less than what is told fails
(tests/stores/limits.py).
"""


def cell(line, notes):
    if line is None:
        return '–'
    text = {'yes': 'yes', 'no': '*no*', 'degraded': '*degraded*',
            'FAIL': '**FAIL**'}[line['word']]
    if line['note']:
        note = line['note'].replace('|', '\\|').replace('\n', ' ')[:300]
        if note not in notes:
            notes.append(note)
        text += ' %d)' % (notes.index(note) + 1)
    return text


def main():
    rows = []
    for path in sys.argv[1:]:
        with open(path) as f:
            rows.append(json.load(f))
    rows.sort(key=lambda r: list(NAMES).index(r['store']))
    seen = {r['store']: {line['line']: line for line in r['lines']}
            for r in rows}
    lines = []
    for r in rows:
        lines += [n for n in seen[r['store']] if n not in lines]
    notes = []
    print(HEAD)
    print('| | ' + ' | '.join(r['store'] for r in rows) + ' |')
    print('|---' * (len(rows) + 1) + '|')
    for name in lines:
        print('| %s | %s |' % (name, ' | '.join(
            cell(seen[r['store']].get(name), notes) for r in rows)))
    print()
    for i, note in enumerate(notes):
        print('%d) %s  ' % (i + 1, note))
    print('\n## Which they are, and what they do not honour\n')
    print('What a store ignores is found out at the start and done in the next '
          'safest\nway: a HEAD just before takes the place of a condition, '
          'which leaves a window of\none round trip; without UploadPartCopy a '
          'change of a large file sends all of it.\nCharacters that it does '
          'not keep in keys are found out, too: names with them\nare refused '
          '(docs/objects.md).\n')
    print('| store | not honoured |\n|---|---|')
    for r in rows:
        print('| %s | %s |' % (NAMES[r['store']], r['missing'] or 'nothing'))


if __name__ == '__main__':
    main()
