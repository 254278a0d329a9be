// SPDX-License-Identifier: Apache-2.0
// From C++17: the handles behind unique_ptr, failures as exceptions, a probability per label.
//
//     sentiment MODEL_DIR [TEXT]
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <wattbert/wattbert.h>

struct close_handle {
    void operator()(wb_model *model) const { wb_model_close(model); }
    void operator()(wb_engine *engine) const { wb_engine_close(engine); }
};
using model_ptr = std::unique_ptr<wb_model, close_handle>;
using engine_ptr = std::unique_ptr<wb_engine, close_handle>;

static void check(wb_status status, const wb_error &err) {
    if (status != WB_OK) throw std::runtime_error(err.message);
}

static model_ptr open_model(const std::string &dir) {
    wb_model *model = nullptr;
    wb_error err;
    check(wb_model_open(&model, dir.c_str(), &err), err);
    return model_ptr(model);
}

static engine_ptr open_engine(const wb_model *model, const wb_options &options) {
    wb_engine *engine = nullptr;
    wb_error err;
    check(wb_engine_open(&engine, model, &options, &err), err);
    return engine_ptr(engine);
}

static std::vector<float> classify(wb_engine *engine, int n_labels, const std::string &text) {
    std::vector<float> logits(static_cast<std::size_t>(n_labels));
    const wb_text one = {text.data(), text.size(), nullptr, 0};
    wb_error err;
    check(wb_classify(engine, &one, 1, logits.data(), &err), err);
    return logits;
}

static void print_probabilities(const wb_model_info &info, const std::vector<float> &logits) {
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit - logits[0]));
    for (std::size_t label = 0; label < logits.size(); label++)
        std::printf("%-12s %.4f\n", info.labels[label],
                    std::exp(static_cast<double>(logits[label] - logits[0])) / sum);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: sentiment MODEL_DIR [TEXT]\n");
        return 2;
    }
    try {
        const model_ptr model = open_model(argv[1]);
        wb_options options = wb_default_options();
        options.technique = "i8-dynamic+packed";
        const engine_ptr engine = open_engine(model.get(), options);
        const wb_model_info &info = *wb_model_describe(model.get());
        const std::string text = argc > 2 ? argv[2] : "a charming journey";
        print_probabilities(info, classify(engine.get(), info.n_labels, text));
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "sentiment: %s\n", failure.what());
        return 1;
    }
    return 0;
}
