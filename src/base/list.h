/* SPDX-License-Identifier: Apache-2.0 */
/* Lists as rows and settings keep them: text joined by commas. */
#ifndef TR_BASE_LIST_H
#define TR_BASE_LIST_H

#include "base/view.h"

/* Takes the first part off the list; false: the list is over. A part may be empty, and behind a last comma there is none. */
static inline bool tr_list_next(struct tr_view *list, struct tr_view *ret_part)
{
	const uint8_t *comma = list->n ? memchr(list->p, ',', list->n) : NULL;
	size_t n = comma ? (size_t)(comma - list->p) : list->n;

	if (!list->n)
		return false;
	*ret_part = tr_view(list->p, n);
	*list = comma ? tr_view(comma + 1, list->n - n - 1) : tr_view(NULL, 0);
	return true;
}

static inline bool tr_list_has(struct tr_view list, struct tr_view what)
{
	struct tr_view part;

	while (tr_list_next(&list, &part))
		if (tr_view_eq(part, what))
			return true;
	return false;
}

#endif
