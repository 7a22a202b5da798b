# SPDX-License-Identifier: Apache-2.0
"""The bucket itself, as other users of it see it: over S3 (signed, path
style), or the embedded one in its directory.  Keys are bytes."""
import hashlib
import hmac
import http.client
import os
import shutil
import time
import urllib.parse
import xml.etree.ElementTree as ET


class Refused(Exception):
    def __init__(self, status, body, what):
        super().__init__('%s: HTTP %d %s' % (what, status, body[:200]))
        self.status = status


def strip(root):
    for e in root.iter():
        e.tag = e.tag.split('}')[-1]
    return root


class Remote:
    def __init__(self, env, name):
        self.host = env['S3_ENDPOINT'].split('//')[1].rstrip('/')
        self.keys = env['AWS_ACCESS_KEY_ID'], env['AWS_SECRET_ACCESS_KEY']
        self.region, self.name = env.get('AWS_DEFAULT_REGION',
                                         'us-east-1'), name

    def request(self, method, key=b'', query=(), headers=(), body=b'',
                may=()):
        """(status, headers, body); Refused for what is not 2xx, nor in may"""
        now = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
        quote = lambda s, safe='': urllib.parse.quote(s, safe + '-._~')
        path = '/' + self.name + ('/' + quote(key, '/') if key else '')
        text = '&'.join(sorted('%s=%s' % (quote(k), quote(v))
                               for k, v in query))
        h = {'host': self.host, 'x-amz-date': now,
             'x-amz-content-sha256': hashlib.sha256(body).hexdigest()}
        h.update(headers)
        names = ';'.join(sorted(h))
        canonical = '\n'.join(
            [method, path, text] + ['%s:%s' % (n, h[n]) for n in sorted(h)] +
            ['', names, h['x-amz-content-sha256']])
        scope = '%s/%s/s3/aws4_request' % (now[:8], self.region)
        mac = ('AWS4' + self.keys[1]).encode()
        for part in scope.split('/') + [
                'AWS4-HMAC-SHA256\n%s\n%s\n%s' % (
                    now, scope,
                    hashlib.sha256(canonical.encode()).hexdigest())]:
            mac = hmac.new(mac, part.encode(), hashlib.sha256).digest()
        h['authorization'] = (
            'AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, '
            'Signature=%s' % (self.keys[0], scope, names, mac.hex()))
        c = http.client.HTTPConnection(self.host, timeout=120)
        try:
            c.request(method, path + ('?' + text if text else ''), body, h)
            r = c.getresponse()
            data = r.read()
        finally:
            c.close()
        if r.status // 100 != 2 and r.status not in may:
            raise Refused(r.status, data, '%s %r' % (method, key))
        return r.status, {k.lower(): v for k, v in r.getheaders()}, data

    def make(self):
        self.request('PUT', may=(409,))

    def put(self, key, data, headers=()):
        self.request('PUT', key, headers=headers, body=data)

    def get(self, key):
        status, _, data = self.request('GET', key, may=(404,))
        return data if status == 200 else None

    def head(self, key):
        return self.request('HEAD', key)[1]

    def delete(self, key):
        self.request('DELETE', key, may=(404,))

    def tags(self, key):
        root = strip(ET.fromstring(self.request('GET', key,
                                                [('tagging', '')])[2]))
        return {t.findtext('Key'): t.findtext('Value')
                for t in root.iter('Tag')}

    def list(self, prefix=''):
        keys, marker = [], ''
        while True:
            query = [('prefix', prefix), ('encoding-type', 'url')]
            if marker:
                query.append(('marker', marker))
            root = strip(ET.fromstring(self.request('GET', query=query)[2]))
            page = [c.findtext('Key') for c in root.findall('Contents')]
            # versitygw takes encoding-type, and does not encode
            page = [urllib.parse.unquote_to_bytes(k.replace('+', ' '))
                    if root.findtext('EncodingType') else k.encode()
                    for k in page]
            keys += page
            if root.findtext('IsTruncated') != 'true' or not page:
                return keys
            marker = os.fsdecode(page[-1])

    def uploads(self):
        root = strip(ET.fromstring(self.request(
            'GET', query=[('uploads', '')])[2]))
        return [u.findtext('Key') for u in root.findall('Upload')]


class Local:
    """Plain files; headers are not looked at."""
    def __init__(self, top):
        self.top = os.fsencode(top)

    def make(self):
        os.makedirs(self.top, exist_ok=True)

    def put(self, key, data, headers=()):
        path = os.path.join(self.top, key)
        if headers or key.endswith(b'/') or os.path.isdir(path) or \
           os.path.normpath(path) != path or \
           any(len(part) > 255 for part in key.split(b'/')):
            raise Refused(400, b'', 'no plain file: %r' % key)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        except OSError:
            raise Refused(400, b'', 'no plain file: %r' % key)
        with open(path, 'wb') as f:
            f.write(data)

    def get(self, key):
        try:
            with open(os.path.join(self.top, key), 'rb') as f:
                return f.read()
        except OSError:
            return None

    def delete(self, key):
        os.unlink(os.path.join(self.top, key))

    def list(self, prefix=''):
        keys = []
        for top, dirs, names in os.walk(self.top):
            if b'.s3nfsd' in dirs:
                dirs.remove(b'.s3nfsd')
            keys += [os.path.relpath(os.path.join(top, n), self.top)
                     for n in names]
        return sorted(k for k in keys if k.startswith(prefix.encode()))

    def uploads(self):
        top = os.path.join(self.top, b'.s3nfsd', b'uploads')
        return os.listdir(top) if os.path.isdir(top) else []


def remove_tree(path):
    shutil.rmtree(path, ignore_errors=True)
