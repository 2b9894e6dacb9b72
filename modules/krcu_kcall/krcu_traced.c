// SPDX-License-Identifier: GPL-2.0
/* krcu_kcall with functions that can be traced, as in any other module: see there. */
#include "krcu_kcall.c"
