# SPDX-License-Identifier: Apache-2.0
"""The few S3 requests that the benchmark's driver makes itself: HEAD, to see
when an object is complete, LIST, to see when all small files have arrived,
and DELETE.  Signature Version 4 over plain HTTP; see s3load.c for the bulk
transfers."""

import datetime
import hashlib
import hmac
import http.client
import re
import time
import urllib.parse


class Store:
    def __init__(self, env, bucket):
        self.host = urllib.parse.urlparse(env['S3_ENDPOINT']).netloc
        self.id = env['AWS_ACCESS_KEY_ID']
        self.secret = env['AWS_SECRET_ACCESS_KEY']
        self.region = env['AWS_DEFAULT_REGION']
        self.bucket = bucket
        self.conn = None

    def _headers(self, method, path, query):
        now = datetime.datetime.now(datetime.timezone.utc)
        date, day = now.strftime('%Y%m%dT%H%M%SZ'), now.strftime('%Y%m%d')
        scope = f'{day}/{self.region}/s3/aws4_request'
        names = 'host;x-amz-content-sha256;x-amz-date'
        canonical = '\n'.join([
            method, path, query, f'host:{self.host}',
            'x-amz-content-sha256:UNSIGNED-PAYLOAD', f'x-amz-date:{date}', '',
            names, 'UNSIGNED-PAYLOAD'])
        text = '\n'.join(['AWS4-HMAC-SHA256', date, scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        key = ('AWS4' + self.secret).encode()
        for word in (day, self.region, 's3', 'aws4_request', text):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        return {'x-amz-date': date, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
                'Authorization': f'AWS4-HMAC-SHA256 Credential={self.id}/'
                f'{scope}, SignedHeaders={names}, Signature={key.hex()}'}

    def request(self, method, key, query=None):
        """(status, headers, body)"""
        path = urllib.parse.quote(f'/{self.bucket}' + (f'/{key}' if key else ''))
        text = '&'.join(f'{k}={urllib.parse.quote(v, safe="")}'
                        for k, v in sorted((query or {}).items()))
        for again in (True, False):
            if self.conn is None:
                self.conn = http.client.HTTPConnection(self.host, timeout=60)
            try:
                self.conn.request(method, path + (f'?{text}' if text else ''),
                                  headers=self._headers(method, path, text))
                answer = self.conn.getresponse()
                return answer.status, answer.headers, answer.read()
            except (http.client.HTTPException, OSError):
                self.conn.close()
                self.conn = None
                if not again:
                    raise

    def size(self, key):
        """Bytes of a complete object, or None."""
        status, headers, _ = self.request('HEAD', key)
        return int(headers['Content-Length']) if status == 200 else None

    def wait_size(self, key, size, seconds):
        """When (monotonic) a HEAD first showed the object at its full size."""
        end = time.monotonic() + seconds
        while self.size(key) != size:
            if time.monotonic() > end:
                raise TimeoutError(f'{key} is not in the bucket after '
                                   f'{seconds:.0f} s')
            time.sleep(0.01)
        return time.monotonic()

    def keys(self, prefix):
        """{key: size} of all objects below a prefix."""
        found, token = {}, None
        while True:
            query = {'list-type': '2', 'prefix': prefix}
            if token:
                query['continuation-token'] = token
            status, _, body = self.request('GET', '', query)
            if status != 200:
                raise RuntimeError(f'LIST: HTTP status {status}')
            text = body.decode()
            found.update((k, int(s)) for k, s in re.findall(
                r'<Key>([^<]*)</Key>.*?<Size>(\d+)</Size>', text))
            more = re.search(r'<NextContinuationToken>([^<]*)<', text)
            if not more:
                return found
            token = more.group(1)

    def wait_files(self, prefix, count, size, seconds):
        """Until so many objects of that size are there (a directory's own
        empty object does not count)."""
        end = time.monotonic() + seconds
        while True:
            have = sum(s == size for s in self.keys(prefix).values())
            if have == count:
                return time.monotonic()
            if time.monotonic() > end:
                raise TimeoutError(f'{have} of {count} files below {prefix} '
                                   f'are in the bucket after {seconds:.0f} s')
            time.sleep(0.2)

    def delete(self, key):
        self.request('DELETE', key)
