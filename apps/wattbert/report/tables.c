// SPDX-License-Identifier: Apache-2.0
// The headline and the technique tables of the page.
#include <math.h>
#include <string.h>

#include "report/html.h"
#include "report/page.h"

void page_badge(FILE *page, bool is_modelled) {
    if (is_modelled)
        fputs(" <span class=\"badge\" title=\"a guess, not a measurement\">modelled</span>", page);
}

static void write_none(FILE *page) {
    fputs("<td><span class=\"none\">–</span></td>\n", page);
}

// The line below a number: its interval ("" for none), and whether it is a guess.
static void write_below(FILE *page, const char *interval, bool is_modelled) {
    if (!*interval && !is_modelled) return;
    fprintf(page, "<small>%s%s%s</small>", interval, *interval && is_modelled ? " " : "",
            is_modelled ? "<span class=\"guess\">modelled</span>" : "");
}

// "380.2" and below it, smaller, "372–388 modelled"; a dash for no number.
static void write_number(FILE *page, double value, double low, double high, bool is_modelled) {
    char text[NUMBER_TEXT], low_text[NUMBER_TEXT], high_text[NUMBER_TEXT];
    char interval[2 * NUMBER_TEXT + 8] = "";
    if (isnan(value)) {
        write_none(page);
        return;
    }
    if (!isnan(low) && !isnan(high))
        snprintf(interval, sizeof interval, "%s–%s", number_text(low_text, low),
                 number_text(high_text, high));
    fprintf(page, "<td><b>%s</b>", number_text(text, value));
    write_below(page, interval, is_modelled);
    fputs("</td>\n", page);
}

static void write_saving(FILE *page, const panel *p, const entry *e) {
    char interval[64] = "";
    if (isnan(e->saving)) {
        write_none(page);
        return;
    }
    if (!isnan(e->saving_low))
        snprintf(interval, sizeof interval, "%.2f–%.2f", e->saving_low, e->saving_high);
    fprintf(page, "<td><b>%.2f×</b>", e->saving);
    write_below(page, interval, e->is_modelled || p->reference->is_modelled);
    fputs("</td>\n", page);
}

// ---- Headline ----

// "4.9× less energy", or what stands in the way of saying so.
static void write_finding(FILE *page, const panel *p) {
    const entry *e = p->choice;
    if (!p->reference) {
        html_element(page, "p class=\"big\"", "No baseline");
        html_element(page, "p",
                     "No row of the baseline was measured, so there is nothing to compare with.");
        return;
    }
    if (!e || e == p->reference || !(e->saving > 1.0)) {
        html_element(page, "p class=\"big\"", "Nothing saved");
        fputs("<p>", page);
        html_printf(page, "No technique keeps %.0f %% of the score of %s for less energy.",
                    100.0 * SUMMARY_KEPT_SHARE, p->reference->label);
        fputs("</p>\n", page);
        return;
    }
    fprintf(page, "<p class=\"big\">%.1f× less energy", e->saving);
    page_badge(page, e->is_modelled || p->reference->is_modelled);
    fputs("</p>\n<p>", page);
    html_element(page, "b", e->label);
    html_printf(page, " keeps %.1f %% of the score of %s", 100.0 * e->kept_share,
                p->reference->label);
    if (!isnan(e->saving_low))
        html_printf(page, " and takes between %.1f and %.1f times less energy a token",
                    e->saving_low, e->saving_high);
    fputs(".</p>\n", page);
    const entry *padded = p->padded_choice;
    if (e->is_packed == p->reference->is_packed || !(padded && padded->saving > 1.0)) return;
    fputs("<p>", page);
    html_printf(page, "With the padding of %s kept: ", p->reference->label);
    html_element(page, "b", padded->label);
    html_printf(page, ", %.1f×.", padded->saving);
    fputs("</p>\n", page);
}

void page_headline(FILE *page, const summary *s) {
    fprintf(page,
            "<section aria-labelledby=\"found\">\n<h2 id=\"found\">The cheapest technique that "
            "keeps the score</h2>\n");
    fprintf(page,
            "<p>Least energy per token among the techniques with at least %.0f %% of the "
            "baseline's score.</p>\n<div class=\"cards\">\n",
            100.0 * SUMMARY_KEPT_SHARE);
    for (int i = 0; i < s->n_panels; i++) {
        fputs("<article class=\"card\">", page);
        html_element(page, "h3", s->panels[i].title);
        write_finding(page, &s->panels[i]);
        fputs("</article>\n", page);
    }
    fputs("</div>\n</section>\n", page);
}

// ---- Technique tables ----

static void write_name(FILE *page, const panel *p, const entry *e) {
    const result_row *row = e->row;
    fputs("<th scope=\"row\">", page);
    html_text(page, e->label);
    if (e == p->reference) fputs(" <span class=\"badge plain\">reference</span>", page);
    if (e == p->choice && e != p->reference)
        fputs(" <span class=\"badge best\">cheapest</span>", page);
    fputs("<small>", page);
    const char *const parts[] = {row->precision, row->attention, row->packing};
    bool is_first = true;
    for (int i = 0; i < 3; i++) {
        if (!*parts[i]) continue;
        html_printf(page, "%s%s", is_first ? "" : ", ", parts[i]);
        is_first = false;
    }
    fputs("</small></th>\n", page);
}

static void write_score(FILE *page, const entry *e) {
    const result_row *row = e->row;
    if (isnan(row->score)) {
        write_none(page);
        return;
    }
    fprintf(page, "<td><b>%.4f</b>", row->score);
    if (!isnan(row->score_low) && !isnan(row->score_high))
        fprintf(page, "<small>%.3f–%.3f</small>", row->score_low, row->score_high);
    fputs("</td>\n", page);
}

static void write_share(FILE *page, double share) {
    if (isnan(share))
        write_none(page);
    else
        fprintf(page, "<td%s><b>%.1f %%</b></td>\n",
                share >= SUMMARY_KEPT_SHARE ? "" : " class=\"lost\"", 100.0 * share);
}

// A bar in the components' colours, and its shares below in the same order.
static void write_split(FILE *page, const entry *e) {
    if (isnan(e->component_uj[0])) {
        write_none(page);
        return;
    }
    fputs("<td class=\"split\"><span class=\"bar\">", page);
    for (int i = 0; i < LOOK_N_COMPONENTS; i++)
        fprintf(page, "<i title=\"%s\" style=\"width:%.1f%%;background:var(--%s)\"></i>",
                look_components[i].name, 100.0 * fmax(e->component_uj[i], 0.0) / e->energy_uj,
                look_colours[look_components[i].colour].css);
    fputs("</span><small>", page);
    for (int i = 0; i < LOOK_N_COMPONENTS; i++)
        fprintf(page, "%s%.0f", i ? " · " : "", 100.0 * e->component_uj[i] / e->energy_uj);
    if (e->is_modelled) fputs(" <span class=\"guess\">modelled</span>", page);
    fputs("</small></td>\n", page);
}

static void write_entry(FILE *page, const panel *p, const entry *e) {
    const result_row *row = e->row;
    fprintf(page, "<tr%s>", e == p->choice ? " class=\"choice\"" : "");
    write_name(page, p, e);
    write_number(page, e->energy_uj, e->energy_low_uj, e->energy_high_uj, e->is_modelled);
    write_saving(page, p, e);
    write_score(page, e);
    write_share(page, e->kept_share);
    write_number(page, row->tokens_per_s, NAN, NAN, false);
    write_number(page, row->p50_ms, NAN, NAN, false);
    write_number(page, 1e6 * row->g_co2e / row->real_tokens, NAN, NAN, e->is_modelled);
    write_split(page, e);
    fputs("</tr>\n", page);
}

static bool is_same_reason(const result_row *a, const result_row *b) {
    return !strcmp(a->reason, b->reason) && !strcmp(a->status, b->status);
}

// What was skipped, one item a reason: "f16, f16-flash: no such arithmetic".
static void write_skipped(FILE *page, const panel *p) {
    if (p->n_skipped) fputs("<ul class=\"skipped\">\n", page);
    for (int i = 0; i < p->n_skipped; i++) {
        const result_row *row = p->skipped[i];
        bool is_told = false;
        for (int j = 0; j < i; j++) is_told |= is_same_reason(p->skipped[j], row);
        if (is_told) continue;
        fputs("<li>", page);
        html_printf(page, "%s ", *row->status ? row->status : "skipped");
        for (int j = i; j < p->n_skipped; j++) {
            if (!is_same_reason(p->skipped[j], row)) continue;
            if (j > i) fputs(", ", page);
            html_element(page, "b", p->skipped[j]->technique);
        }
        html_printf(page, ": %s", *row->reason ? row->reason : "no reason was given");
        fputs("</li>\n", page);
    }
    if (p->n_skipped) fputs("</ul>\n", page);
}

static void write_panel(FILE *page, const panel *p) {
    static const char *const columns[][2] = {
        {"Technique", ""},
        {"Energy per token", "µJ, 95 %"},
        {"Saving", "times"},
        {"Score", ""},
        {"Kept", "of the score"},
        {"Throughput", "tokens/s"},
        {"Batch", "median, ms"},
        {"Carbon", "g CO₂e / 10⁶ tokens"},
        {"Split", "%: att · ffn · emb · head · rest"},
    };
    char score[RESULT_TEXT + 32];
    plot_score_title(p, score, sizeof score);
    html_element(page, "h3", p->title);
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", page);
    html_printf(page, "Techniques on %s", p->title);
    fputs("\"><table class=\"techniques\">\n<thead><tr>", page);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        fprintf(page, "<th scope=\"col\">%s<small>", columns[i][0]);
        html_text(page, i == 3 ? score : columns[i][1]);
        fputs("</small></th>", page);
    }
    fputs("</tr></thead>\n<tbody>\n", page);
    for (int i = 0; i < p->n_entries; i++) write_entry(page, p, &p->entries[i]);
    fputs("</tbody></table></div>\n", page);
    write_skipped(page, p);
}

void page_tables(FILE *page, const summary *s) {
    fputs(
        "<section aria-labelledby=\"techniques\">\n<h2 id=\"techniques\">Techniques</h2>\n"
        "<p>Energy is per real token: padding never counts as useful. Small figures are 95 % "
        "intervals. "
        "Saving sets a technique against the reference of the same task on the same machine. "
        "<i>Kept</i> is the share of the reference's score; below 99 % it is set in orange. "
        "Split: ",
        page);
    for (int i = 0; i < LOOK_N_COMPONENTS; i++)
        fprintf(page, "%s<span class=\"key\" style=\"background:var(--%s)\"></span>%s",
                i ? ", " : "", look_colours[look_components[i].colour].css,
                look_components[i].name);
    fputs(".</p>\n", page);
    for (int i = 0; i < s->n_panels; i++) write_panel(page, &s->panels[i]);
    fputs("</section>\n", page);
}
