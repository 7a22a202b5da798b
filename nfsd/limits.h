/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_LIMITS_H
#define NFSD_LIMITS_H

#include "nfsd/settings.h"

/* Raise what the system allows us, as far as it goes.  Returns how many data
 * files may be kept open. */
unsigned limits_raise(const struct settings *settings);

#endif
