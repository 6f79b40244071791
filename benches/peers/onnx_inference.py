"""Inference with ONNX Runtime: times the batches of a pass and prints one JSON object. An opponent.

With --output it is the opponent of the whole `ferrotune predict`: no warm-up, and the predictions are written as CSV.
"""

import argparse
import json
import time

import numpy
import onnxruntime

import batching
import predictions
import rows
import tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="the folder with the tokenizer and the names of the labels")
    parser.add_argument("--graph", required=True, help="the file of onnx_graph.py")
    parser.add_argument("--rows", required=True)
    parser.add_argument("--batching", choices=[batching.DYNAMIC, batching.GROUPED], required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--warm-up", type=int, default=0, help="batches before the clock starts")
    parser.add_argument("--output", help="write predictions there instead of printing logits")
    a = parser.parse_args()
    texts, _ = rows.load(a.rows)
    ids = tokens.encode(a.model, texts, a.max_length)
    lengths = [len(row) for row in ids]
    batches = batching.plan(lengths, a.batch_size, a.batching)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = a.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(a.graph, options, providers=["CPUExecutionProvider"])

    def run(batch):
        id_rows, mask_rows = batching.padded(ids, batch, batching.width(lengths, batch, a.batching))
        inputs = {"ids": numpy.array(id_rows, numpy.int32), "mask": numpy.array(mask_rows, numpy.int32)}
        return session.run(None, inputs)[0].tolist()

    for batch in batches[: a.warm_up]:
        run(batch)
    logits = [None] * len(ids)
    clock = time.perf_counter()
    for batch in batches:
        for row, scores in zip(batch, run(batch)):
            logits[row] = scores
    seconds = time.perf_counter() - clock
    if a.output:
        predictions.write(a.output, texts, logits, a.model)
        logits = None
    print(json.dumps({
        "rows": len(ids), "seconds": seconds, "logits": logits,
        "padding": batching.padding_share(lengths, batches, a.batching),
    }))


if __name__ == "__main__":
    main()
