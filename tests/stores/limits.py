# SPDX-License-Identifier: Apache-2.0
"""What a store cannot do, whatever the gateway does.  Each limit is exact: it
must be met as it stands here, no more and no less, or the line fails."""

# (store, line) to (word of the table, how the line ends: a pattern, why)
NO_TAGS = 'no', '^it has no tags$', 'it has no tags'
LIMITS = {
    ('embedded', 'metadata, type kept'):
    ('no', '^nobody else gives it headers$', 'nobody else gives it headers'),
    ('embedded', 'tags kept'): NO_TAGS,
    ('swift', 'tags kept'): NO_TAGS,
    ('s3mock', 'tags kept'): NO_TAGS,
    ('s3proxy', 'tags kept'): NO_TAGS,
}

# The odd keys, by store:
#   untaken  the store refuses others' objects, or gives other bytes for them
#   unseen   it takes them, and cannot list them: nobody sees them over NFS
#   renamed  it lists them under another key, and so they are seen
#   refused  names that the gateway refuses at once, by what it found out
#   lost     names that it takes, and cannot read back
LONG = b'L' * 300
PATHS = [b'slash//slash', b'dot/./dot']
KEYS = {
    'embedded': {'untaken': PATHS + [LONG]},
    'minio': {'untaken': PATHS + [LONG]},
    'versitygw': {'untaken': [LONG], 'unseen': [b'control\x01'],
                  'renamed': PATHS,
                  'refused': [b'control\x01', b'fffe\xef\xbf\xbe']},
    'seaweedfs': {'untaken': [b'dot/./dot', LONG],
                  'renamed': [b'back\\slash', b'slash//slash'],
                  'refused': [b'back\\slash']},
    'moto': {'untaken': [b'new\nline'], 'refused': [b'new\nline']},
    's3mock': {'untaken': [b'back\\slash'], 'refused': [b'back\\slash']},
    's3proxy': {'untaken': [LONG], 'renamed': PATHS},
    # Names in NFD and in NFC are one to it.  It lists control characters as
    # they are until it reads the directory again: no probe sees that.
    'rclone': {'untaken': PATHS + [LONG],
               'renamed': [b'tab\there', b'new\nline', b'control\x01'],
               'lost': ['cafe\u0301'.encode()]},
}
