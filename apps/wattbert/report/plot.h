// SPDX-License-Identifier: Apache-2.0
// A figure as a gnuplot script: a legend, panels side by side, and a footer that says where the
// energy comes from. Each is drawn three times from one description: SVG and PNG at page width,
// and a narrow SVG whose letters stay legible on a phone.
#ifndef PLOT_H
#define PLOT_H

#include "report/axis.h"
#include "report/place.h"
#include "report/summary.h"

// More would be a wall of panels; the tables hold them all.
enum { PLOT_MAX_PANELS = 12, PLOT_MAX_LEGEND = 40, PLOT_SQUARE = 5 };

typedef struct plot {
    FILE *script;
    const summary *summary;
    bool is_narrow;
    double width, height;  // pixels of the whole figure
    double letter;         // pixels a letter is wide, on average
    double text_pixels;    // size of the letters, as gnuplot's font size
    int n_labels;          // gnuplot's label numbers in use
} plot;

typedef struct plot_legend_item {
    char text[2 * RESULT_TEXT + 2];
    int colour, point;  // look.h; gnuplot's point type
} plot_legend_item;

typedef struct plot_legend {
    int n_items;
    plot_legend_item items[PLOT_MAX_LEGEND];
} plot_legend;

typedef struct figure {
    const char *name;   // of its files
    const char *title;  // "Energy per token"
    const char *how;    // how to read it, a sentence or three
    bool has_energy;    // then its footer says how the energy was found
    bool has_whiskers;  // of energy: entry.spread_low_uj and spread_high_uj
    bool (*is_shown)(const summary *s, const panel *p);
    // The figure has one drawing for each device, with all its panels; index is that of the first
    // of them that is shown.
    bool is_by_device;
    // Data blocks of one panel, named after its index.
    void (*data)(FILE *script, const summary *s, int index);
    void (*legend)(const summary *s, plot_legend *legend);
    // Height of a panel's drawing area in pixels, without its title and axis.
    double (*area_height)(const plot *p, int index);
    // Left margin of the drawing area in pixels.
    double (*area_left)(const plot *p, int index);
    // Axes and the plot command, after the margins were set to area.
    void (*draw)(plot *p, int index, place_box area);
} figure;

// Writes dir/NAME.gp and has gnuplot draw dir/NAME.svg, dir/NAME.png and dir/NAME-narrow.svg.
// WB_ERR_ABSENT: no gnuplot on this machine, or it failed; WB_ERR_IO: the script cannot be written.
// *is_empty: no panel has anything to show, nothing was written.
wb_status plot_figure(const figure *f, const summary *s, const char *dir, bool *is_empty,
                      wb_error *err);

// ---- For the figures ----

// The text in gnuplot's single quotes, safe whatever it holds.
void plot_quote(FILE *script, const char *text);
// The same for the text of a tic, which gnuplot takes for a format.
void plot_quote_tic(FILE *script, const char *text);
// An empty line and "# text", on one line whatever the text holds: gnuplot would run the next.
void plot_comment(FILE *script, const char *text);
// A number of a data block; NaN where there is none.
void plot_value(FILE *script, double value);
// A text at a place in pixels from the left and top; align is "left", "center" or "right".
void plot_text(plot *p, double x, double y, const char *text, const char *align, int colour,
               double size_pixels);
void plot_legend_add(plot_legend *legend, const char *text, int colour, int point);
// Axis titles ("" for none), and grid lines, tics and borders in the figure's colours; grid names
// the axes that have lines, "x" or "x y".
void plot_axis_titles(plot *p, place_box area, const char *x, const char *y, const char *grid);
double plot_text_width(const plot *p, const char *text);
// "Energy per token [µJ], modelled".
void plot_energy_title(summary_method method, char *out, size_t capacity);
// "Accuracy": the metric of the panel's task.
void plot_score_title(const panel *p, char *out, size_t capacity);
// A dashed line across the panel at a value of the x or y axis, and what it is ("" for nothing).
void plot_rule(plot *p, char axis_name, double at, const char *name);
// Where a figure's energy comes from, two or three sentences; "" where it has none.
void plot_source_note(const figure *f, const summary *s, char *out, size_t capacity);

#endif
