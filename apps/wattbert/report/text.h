// SPDX-License-Identifier: Apache-2.0
// Texts from CSV files, made fit to be shown: well-formed UTF-8 on one line.
#ifndef TEXT_H
#define TEXT_H

// Bytes of the well-formed, printable UTF-8 character here; 0 if there is none.
int text_character_bytes(const char *text);
// Replaces control characters by spaces and bytes that are no UTF-8 by question marks, in place.
void text_tame(char *text);

#endif
