/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ways in which S3 writes a time, and the clocks.  LIST gives
 * fractions of a second and HEAD does not; both are read to whole seconds so
 * that an object's time is the same whichever call told it.
 */
#include <config.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "s3/remote.h"

int64_t
s3_now_s(void)
{
	return (int64_t)time(NULL);
}

int64_t
s3_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t
s3_mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t
civil(int year, int month, int day, int hour, int min, int sec)
{
	struct tm tm = {
		.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day,
		.tm_hour = hour, .tm_min = min, .tm_sec = sec,
	};

	if (year < 1970 || year > 9999 || month < 1 || month > 12 ||
	    day < 1 || day > 31 || hour < 0 || hour > 23 || min < 0 ||
	    min > 59 || sec < 0 || sec > 60)
		return -1;
	return (int64_t)timegm(&tm);
}

/* IMF-fixdate, and the two that are obsolete and to be understood (RFC 9110
 * 5.6.7); a few stores tell an object's time as LIST does. */
int64_t
s3_date_http(const char *text)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int day, year, hour, min, sec;
	char month[4];
	const char *m;

	if (text[0] >= '0' && text[0] <= '9')
		return s3_date_iso(text);
	if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT",
		   &day, month, &year, &hour, &min, &sec) != 6 &&
	    sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d",
		   month, &day, &hour, &min, &sec, &year) != 6) {
		if (sscanf(text, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d "
			   "%2d:%2d:%2d GMT", &day, month, &year, &hour, &min,
			   &sec) != 6)
			return -1;
		year += year < 70 ? 2000 : 1900;
	}
	if (strlen(month) != 3)
		return -1;
	m = strstr(months, month);
	if (m == NULL || (m - months) % 3 != 0)
		return -1;
	return civil(year, (int)(m - months) / 3 + 1, day, hour, min, sec);
}

int64_t
s3_date_iso(const char *text)
{
	int year, month, day, hour, min, sec, used = 0, zone_h, zone_m = 0;
	int64_t at;
	char sign;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day,
		   &hour, &min, &sec, &used) != 6)
		return -1;
	at = civil(year, month, day, hour, min, sec);
	text += used;
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	/* "+02:00"; "Z", "UTC" and nothing are the same. */
	if (at < 0 || sscanf(text, "%c%2d:%2d", &sign, &zone_h, &zone_m) < 2 ||
	    (sign != '+' && sign != '-'))
		return at;
	if (zone_h < 0 || zone_h > 14 || zone_m < 0 || zone_m > 59)
		return -1;
	return at - (sign == '+' ? 1 : -1) *
	       ((int64_t)zone_h * 3600 + (int64_t)zone_m * 60);
}
