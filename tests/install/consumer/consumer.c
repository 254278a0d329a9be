// SPDX-License-Identifier: Apache-2.0
// A stranger's program, valid C and C++: opens the model it is given, prints the library's version
// and the number of labels.
#include <stdio.h>

#include <wattbert/energy.h>
#include <wattbert/wattbert.h>

int main(int argc, char **argv) {
    wb_model *model = NULL;
    wb_error err;
    if (argc != 2 || wb_model_open(&model, argv[1], &err) != WB_OK) {
        fprintf(stderr, "consumer: %s\n", argc != 2 ? "want one model" : err.message);
        return 1;
    }
    printf("%s %d\n", wb_version(), wb_model_describe(model)->n_labels);
    wb_model_close(model);
    return wb_default_meter_options().gpu_index;
}
