// SPDX-License-Identifier: Apache-2.0
// Texts for `mixed` where the caller gives none: plain sentences of several tones, lengths and
// subjects, so that activations look as they do in use. They carry no labels: only how far
// logits move is measured.
#include "engine/engine.h"

const char *const wb_calibration_sentences[WB_N_SENTENCES] = {
    "The film was far better than I had any right to expect.",
    "A slow, muddled story that never decides what it wants to be.",
    "She opened the letter, read it twice, and put it back without a word.",
    "The committee will vote on the new budget early next week.",
    "What a waste of a perfectly good evening!",
    "It rained all day, but nobody at the wedding seemed to mind.",
    "The soup was cold, the waiter was rude, and still we laughed all night.",
    "He is not the worst singer in the choir, though it is close.",
    "Shares of the company fell four percent after it cut its forecast for the year.",
    "I would happily watch it again tomorrow.",
    "Not once did the plot surprise me.",
    "The bridge, which had been closed since March, opened to traffic on Friday.",
    "Their second record is warmer, stranger and braver than the first.",
    "Who gave the keys to the children?",
    "The book the student that the teacher praised wrote is on the shelf.",
    "A gentle comedy with more heart than jokes.",
    "The doctor said that the results were normal and that he should rest.",
    "Two men were repairing a bicycle outside a small shop in the rain.",
    "I can't say I hated it, but I checked my watch every ten minutes.",
    "The battery lasts a whole day and the screen is bright enough for the beach.",
    "Police said on Tuesday that they had arrested a suspect in the case.",
    "Nobody is outside, and the street has been empty since noon.",
    "The dialogue is sharp, the acting is superb, and the ending is a quiet triumph.",
    "Please send me the invoice before the end of the month.",
    "It tries so hard to be clever that it forgets to be funny.",
    "More people have been to the city than live in it.",
    "After the storm the harbour was full of broken masts and torn sails.",
    "The jury did not believe him, and neither did I.",
    "An honest, moving portrait of a family that cannot say what it feels.",
    "The update fixes the crash but makes everything else slower.",
    "Some of the guests had left before the music started.",
    "Terrible acting, terrible script, and yet somehow I enjoyed every minute.",
};
