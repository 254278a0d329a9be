// SPDX-License-Identifier: Apache-2.0
// The page's style sheet. Colours are the variables of look.c, written before it. One column of
// text; wide tables and figures scroll or shrink inside their own box, the page never does.
#include "report/page.h"

#include <stddef.h>

// In parts: compilers need not take strings longer than 4,095 bytes.
const char *const page_style[] = {
    // text
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"
    "'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;-webkit-text-size-adjust:100%}\n"
    "main,header,footer{max-width:1100px;margin:0 auto;padding:0 20px}\n"
    "header{padding-top:36px}\n"
    "h1{font-size:1.9rem;line-height:1.2;margin:0 0 .3em;letter-spacing:-.01em}\n"
    "h2{font-size:1.35rem;line-height:1.3;margin:2.4em 0 .5em}\n"
    "h3{font-size:1.05rem;margin:1.6em 0 .5em}\n"
    "p{margin:.5em 0 1em;max-width:46em}\n"
    "a{color:var(--blue)}\n"
    "small{font-size:.78em;font-weight:400;color:var(--muted)}\n"
    ".lead{color:var(--muted)}\n"
    ".badge{display:inline-block;padding:0 .45em;border:1px solid var(--orange);border-radius:.6em;"
    "font-size:.68rem;font-weight:600;line-height:1.5;white-space:nowrap;vertical-align:.1em;"
    "background:var(--warm)}\n"
    ".badge.plain{border-color:var(--muted);background:none;font-weight:400}\n"
    ".badge.best{border-color:var(--green);background:var(--band)}\n"
    ".warning{border-left:4px solid var(--orange);background:var(--warm);padding:.7em 1em;"
    "max-width:none}\n",
    // cards and tables
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(230px,1fr));gap:14px}\n"
    ".card{border:1px solid var(--grid);border-radius:10px;padding:14px 16px}\n"
    ".card h3{margin:0;color:var(--muted);font-size:.95rem}\n"
    ".card p{margin:.3em 0 0;font-size:.92rem}\n"
    ".card .big{font-size:1.45rem;font-weight:650;line-height:1.3}\n"
    ".scroll{overflow-x:auto;margin:0 0 1em}\n"
    "table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums;"
    "width:100%}\n"
    "th,td{padding:.42em .7em;text-align:right;vertical-align:top;white-space:nowrap;"
    "border-bottom:1px solid var(--grid)}\n"
    "thead th{border-bottom:2px solid var(--muted);vertical-align:bottom}\n"
    ".techniques thead th,.techniques th small{white-space:normal}\n"
    ".techniques th small{max-width:15em}\n"
    ".techniques th,.techniques td{padding-left:.45em;padding-right:.45em}\n"
    "th small,td small{display:block;line-height:1.35}\n"
    "th:first-child,td.text,th.text{text-align:left}\n"
    "tbody th{font-weight:600}\n"
    ".techniques tbody th{white-space:normal;max-width:19em}\n"
    "td b{font-weight:500}\n"
    ".techniques th:first-child{position:sticky;left:0;background:var(--paper);z-index:1}\n"
    ".techniques .choice th,.techniques .choice td{background:var(--band)}\n"
    ".skipped{font-size:.875rem;color:var(--muted);padding-left:1.2em;max-width:60em}\n"
    ".skipped b{font-weight:500;color:var(--ink)}\n"
    ".lost b{color:var(--red);font-weight:650}\n"
    ".none{color:var(--muted)}\n"
    ".guess{color:var(--ink);background:var(--warm);border-bottom:1px solid var(--orange)}\n"
    ".split{min-width:9em}\n"
    ".bar{display:flex;height:.8em;margin:.35em 0 .2em;width:100%}\n"
    ".bar i{display:block}\n"
    ".key{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 0;vertical-align:-.05em}\n"
    "abbr{text-decoration:none}\n",
    // figures and facts
    "figure{margin:0 0 2.6em}\n"
    "figcaption{font-size:.92rem;max-width:52em}\n"
    "figcaption b{display:block;font-size:1.05rem}\n"
    "figcaption small{display:block;margin-top:.3em}\n"
    "figure svg{display:block;width:100%;height:auto;margin:0 0 .6em}\n"
    "svg.narrow{display:none}\n"
    ".marks{position:absolute}\n"
    ".facts{display:grid;grid-template-columns:minmax(9em,max-content) 1fr;gap:.25em 1.2em;"
    "font-size:.92rem}\n"
    ".facts dt{color:var(--muted)}\n"
    ".facts dd{margin:0;overflow-wrap:anywhere}\n"
    "details{margin:.8em 0}\n"
    "summary{cursor:pointer;padding:.3em 0}\n"
    ".data{font-size:.75rem}\n"
    "footer{color:var(--muted);font-size:.85rem;padding-top:24px;padding-bottom:40px}\n",
    // phones
    "@media screen and (max-width:700px){\n"
    "body{font-size:15px}\n"
    "main,header,footer{padding-left:14px;padding-right:14px}\n"
    "svg.wide{display:none}\n"
    "figure svg.narrow{display:block;max-width:520px}\n"
    ".techniques th:first-child{white-space:normal;min-width:7.4em;box-shadow:1px 0 var(--grid)}\n"
    ".facts{grid-template-columns:1fr}\n"
    ".facts dd{margin-bottom:.5em}\n"
    "}\n",
    // paper
    "@media print{\n"
    "@page{margin:16mm}\n"
    "body{font-size:10pt}\n"
    "main,header,footer{max-width:none;padding:0}\n"
    "figure,.card,tr{break-inside:avoid}\n"
    "h2,h3{break-after:avoid}\n"
    ".scroll{overflow:visible}\n"
    "table{font-size:7.5pt}\n"
    "th,td{padding:.3em .35em}\n"
    ".badge{font-size:6pt}\n"
    "details:not([open]){display:none}\n"
    ".bar,.key,.badge,.card,.choice th,.choice td,svg{print-color-adjust:exact;"
    "-webkit-print-color-adjust:exact}\n"
    "}\n",
    NULL,
};
