/* SPDX-License-Identifier: Apache-2.0 */
/* All readers of the store's XML, and STS'. */
#include <config.h>
#include <stdlib.h>
#include "s3/remote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *xml = (const char *)data;
	struct s3_xml_list list;
	struct s3_xml_uploads uploads;
	struct s3_xml_parts parts;
	struct s3_xml_error error;
	struct s3_keys keys;
	char etag[S3_ETAG_MAX], *id = NULL;

	if (s3_xml_list(xml, size, &list) == 0)
		s3_xml_list_fini(&list);
	if (s3_xml_uploads(xml, size, &uploads) == 0)
		s3_xml_uploads_fini(&uploads);
	if (s3_xml_parts(xml, size, &parts) == 0)
		free(parts.parts);
	(void)!s3_xml_error(xml, size, &error);
	(void)!s3_xml_etag(xml, size, etag);
	if (s3_xml_upload_id(xml, size, &id) == 0)
		free(id);
	if (s3_xml_sts(xml, size, &keys) == 0)
		s3_keys_fini(&keys);
	return 0;
}
