# SPDX-License-Identifier: Apache-2.0
# Prints the named columns of a CSV file without quoted line ends.
function cells(line,    n, i, c, quoted) {
    n = 1; cell[1] = ""; quoted = 0
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        if (c == "\"") quoted = !quoted
        else if (c == "," && !quoted) cell[++n] = ""
        else cell[n] = cell[n] c
    }
    return n
}
NR == 1 { n = cells($0); for (i = 1; i <= n; i++) at[cell[i]] = i; next }
{
    cells($0)
    printf "%s|%s|%s|%s|%s|%s|%s|%s|%s|%s", cell[at["technique"]], cell[at["protocol"]], cell[at["task"]],
        cell[at["split"]], cell[at["examples"]], cell[at["windows"]], cell[at["energy_method"]],
        cell[at["carbon_source"]], cell[at["status"]], cell[at["reason"]]
    if (cell[at["status"]] == "ok") {
        whole = cell[at["energy_j"]]
        sum = cell[at["attention_j"]] + cell[at["ffn_j"]] + cell[at["embeddings_j"]] + cell[at["head_j"]] + cell[at["rest_j"]]
        grams = whole / 3.6e6 * 380.95 * 1.5
        printf "|%s", (sum / whole - 1) ^ 2 < 1e-14 ? "parts sum" : "parts " sum " of " whole
        printf "|%s", (cell[at["g_co2e"]] / grams - 1) ^ 2 < 1e-12 ? "grams" : "wrong grams"
        # + 0: these cells were put together as strings, and awk would compare them as such.
        low = cell[at["energy_low_j"]] + 0
        high = cell[at["energy_high_j"]] + 0
        printf "|%s", low <= whole + 0 && whole + 0 <= high ? "interval" : "no interval"
    }
    print ""
}
