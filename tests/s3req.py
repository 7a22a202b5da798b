#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One signed request to the S3 server of a test, for any key and header.

  s3req.py METHOD BUCKET/KEY [-q QUERY]... [-H 'NAME: VALUE']... [-d TEXT]

The key is taken byte by byte and percent-encoded here.  The reply's body goes
to stdout, with HEAD its headers; exit code 1 if the status is not 2xx.
(curl 7.88 does not sign headers that it did not make.)  S3_ENDPOINT,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY as radosgw.sh writes them.
"""
import argparse
import hashlib
import hmac
import http.client
import os
import sys
import time
import urllib.parse

p = argparse.ArgumentParser()
p.add_argument('method')
p.add_argument('key')
p.add_argument('-q', action='append', default=[])
p.add_argument('-H', action='append', default=[])
p.add_argument('-d', default='')
a = p.parse_args()

host = os.environ['S3_ENDPOINT'].split('//')[1]
region = os.environ.get('AWS_DEFAULT_REGION', 'us-east-1')
body = os.fsencode(a.d)
now = time.gmtime()
stamp = time.strftime('%Y%m%dT%H%M%SZ', now)
day = stamp[:8]
path = '/' + urllib.parse.quote(os.fsencode(a.key), safe='/-._~')
pairs = [(q.split('=', 1) + [''])[:2] for q in a.q]
query = '&'.join(sorted(
    '%s=%s' % (urllib.parse.quote(k, safe='-._~'),
               urllib.parse.quote(v, safe='-._~')) for k, v in pairs))
headers = {'host': host, 'x-amz-date': stamp,
           'x-amz-content-sha256': hashlib.sha256(body).hexdigest()}
for h in a.H:
    name, value = h.split(':', 1)
    headers[name.lower().strip()] = value.strip()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


names = ';'.join(sorted(headers))
canonical = '\n'.join(
    [a.method, path, query] +
    ['%s:%s' % (n, headers[n]) for n in sorted(headers)] +
    ['', names, headers['x-amz-content-sha256']])
scope = '%s/%s/s3/aws4_request' % (day, region)
to_sign = '\n'.join(['AWS4-HMAC-SHA256', stamp, scope,
                     hashlib.sha256(canonical.encode()).hexdigest()])
key = ('AWS4' + os.environ['AWS_SECRET_ACCESS_KEY']).encode()
for part in (day, region, 's3', 'aws4_request'):
    key = mac(key, part)
headers['authorization'] = (
    'AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s' %
    (os.environ['AWS_ACCESS_KEY_ID'], scope, names, mac(key, to_sign).hex()))

c = http.client.HTTPConnection(host, timeout=30)
c.request(a.method, path + ('?' + query if query else ''), body, headers)
r = c.getresponse()
out = r.read()
if a.method == 'HEAD':
    out = ''.join('%s: %s\n' % h for h in r.getheaders()).encode()
sys.stdout.buffer.write(out)
if r.status // 100 != 2:
    print('%s %s: %d' % (a.method, a.key, r.status), file=sys.stderr)
    sys.exit(1)
