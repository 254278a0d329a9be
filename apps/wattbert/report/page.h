// SPDX-License-Identifier: Apache-2.0
// The parts of report.html, each written by one function in the page's order.
#ifndef PAGE_H
#define PAGE_H

#include "report/figures.h"

extern const char *const page_style[];  // the CSS in parts, then NULL

// The badge after every number that is a guess; nothing for measured ones.
void page_badge(FILE *page, bool is_modelled);

void page_headline(FILE *page, const summary *s);    // one card a panel
void page_devices(FILE *page, const summary *s);     // one table, where devices differ
void page_tables(FILE *page, const summary *s);      // one table a panel
void page_conditions(FILE *page, const summary *s);  // what was run, how it was measured
void page_data(FILE *page, const summary *s);        // every cell of every row

#endif
