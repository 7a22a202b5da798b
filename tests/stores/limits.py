# SPDX-License-Identifier: Apache-2.0
"""What a store cannot do, whatever the gateway does: (store, line) to
('no' or 'degraded', why).  A 'no' that holds after all is told."""
LIMITS = {
    ('moto', '39 odd keys'):
    ('degraded', 'a key with a newline is answered 404: such a file waits in '
     'the gateway'),
    ('s3mock', '39 odd keys'):
    ('degraded', 'a key with a backslash is answered 400: such a file waits '
     'in the gateway'),
    ('versitygw', '39 odd keys'):
    ('degraded', 'control characters are replaced in LIST: others\' keys '
     'with them are not to be seen'),
    ('seaweedfs', 'fresh gateway'):
    ('degraded', 'its filer keeps a directory that was deleted before the '
     'files in it: empty, it is there again'),
    ('rclone', '39 odd keys'):
    ('degraded', 'names that differ in their Unicode normalisation only are '
     'one: the second is not to be had'),
}
