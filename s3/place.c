/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a bucket's requests go: host, port and path.
 */
#include <config.h>
#include <string.h>
#include "s3/remote.h"

/* AWS general reference, "Service endpoints", by the partitions' regions. */
const char *
s3_aws_domain(const char *region, bool api)
{
	static const struct { const char *begins, *domain, *api; } all[] = {
		{ "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn" },
		{ "us-isob-", "sc2s.sgov.gov", NULL },
		{ "us-isof-", "csp.hci.ic.gov", NULL },
		{ "us-iso-", "c2s.ic.gov", NULL },
		{ "eu-isoe-", "cloud.adc-e.uk", NULL },
		{ "eusc-", "amazonaws.eu", NULL },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (strncmp(region, all[i].begins, strlen(all[i].begins)) == 0)
			return api && all[i].api != NULL ? all[i].api :
							   all[i].domain;
	return api ? "api.aws" : "amazonaws.com";
}
