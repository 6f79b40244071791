"""What is measured: for each measure ferrotune, its opponents and the numbers that are compared. Standard library only."""

from functools import partial

import contestants as c
from table import Reading

RATE = Reading("rate", "rows a second", "rows/s", True)
PEAK = Reading("peak_mib", "peak memory", "MiB", False)
FIRST_STEP = Reading("first_step", "from command to first optimizer step", "s", False)
WHOLE_RUN = Reading("whole_run", "from command to written predictions", "s", False)

NAMES = ("minilm", "minilm-bf16", "bert-base", "bert-base-bf16", "frozen", "inference", "inference-bf16", "predict", "first-step")
# With this option the embeddings and all layers but the last two of MiniLM stay as they are.
FREEZE = "embeddings,layers.0-3"
TRAINED_LAYERS = 2


class Measure:
    """ferrotune first, then its opponents; every reading of a turn is compared."""

    def __init__(self, name, title, readings, ferrotune, opponents):
        self.name, self.title, self.readings = name, title, readings
        self.ferrotune, self.opponents = c.Contestant("ferrotune", ferrotune), opponents


def training(name, title, context, model, rows, warm_up, precision="f32"):
    """Full fine-tuning in f32 or bf16 against the same in dynamic and grouped batches."""
    extra = ["--epochs", "1", "--precision", precision]
    ours = partial(c.ferrotune_train, context, model, rows, extra, first_timed_step=warm_up + 1)

    def torch(label, *extra, skipped=None):
        return c.Contestant(f"PyTorch {label}", partial(c.torch_train, context, model, rows, warm_up, *extra), skipped)

    grouped = ("--batching", "grouped", "--fused")
    if precision == "bf16":
        opponents = [
            torch("bf16, dynamic, fused AdamW", "--batching", "dynamic", "--fused", "--bf16", skipped=context.no_bf16),
            torch("bf16, grouped, fused AdamW", *grouped, "--bf16", skipped=context.no_bf16),
        ]
    else:
        opponents = [
            torch("fp32, dynamic", "--batching", "dynamic"),
            torch("fp32, grouped, fused AdamW", *grouped),
        ]
        if name == "minilm":
            opponents.insert(0, torch("fp32, static", "--batching", "static"))
    return Measure(name, f"{title}, {precision}", [RATE, PEAK], ours, opponents)


def frozen(context):
    """The second epoch with a frozen prefix. PyTorch keeps nothing between epochs, so any epoch of it is alike."""
    rows, model = context.rows, context.minilm
    ours = partial(
        c.ferrotune_train, context, model, rows, ["--epochs", "2", "--freeze", FREEZE], timed_epoch=2)

    def torch(label, *extra):
        extra = ("--train-layers", TRAINED_LAYERS, *extra)
        return c.Contestant(f"PyTorch {label}", partial(c.torch_train, context, model, rows, context.warm_up, *extra))

    opponents = [
        torch("fp32, dynamic", "--batching", "dynamic"),
        torch("fp32, dynamic, fused AdamW, no dropout in frozen layers",
              "--batching", "dynamic", "--fused", "--frozen-eval"),
        torch("fp32, grouped, fused AdamW, no dropout in frozen layers",
              "--batching", "grouped", "--fused", "--frozen-eval"),
    ]
    title = f"MiniLM training, all but {TRAINED_LAYERS} layers frozen, second epoch"
    return Measure("frozen", title, [RATE], ours, opponents)


def inference(context, precision="f32"):
    """Forward passes alone: tokens in, logits out."""
    rows = context.rows
    graph = ("--graph", context.work / "minilm.onnx")

    def torch(way, *extra, skipped=None):
        turn = partial(c.inference, context, "torch_inference", rows, "--batching", way, *extra)
        return c.Contestant(f"PyTorch {'bf16' if extra else 'fp32'}, {way}", turn, skipped)

    opponents = []
    for way in ("dynamic", "grouped"):
        if precision == "bf16":
            opponents.append(torch(way, "--bf16", skipped=context.no_bf16))
            continue
        onnx = partial(c.inference, context, "onnx_inference", rows, *graph, "--batching", way)
        opponents += [
            torch(way),
            c.Contestant(f"ONNX Runtime fp32, {way}", onnx, context.no_onnx),
            c.Contestant(f"candle fp32, {way}", partial(c.candle_inference, context, way), context.no_candle),
        ]
    ours = partial(c.ferrotune_inference, context, rows, precision)
    name = "inference" if precision == "f32" else "inference-bf16"
    return Measure(name, f"MiniLM inference, {precision}", [RATE], ours, opponents)


def predict(context):
    """Whole programs, from the command to the file."""
    rows = context.rows
    graph = ("--graph", context.work / "minilm.onnx", "--batching", "grouped")
    opponents = [
        c.Contestant("PyTorch fp32, grouped", partial(c.predict, context, "torch_inference", rows, "--batching", "grouped")),
        c.Contestant("ONNX Runtime fp32, grouped", partial(c.predict, context, "onnx_inference", rows, *graph),
                     context.no_onnx),
    ]
    title = f"`predict`, {context.row_count} rows"
    return Measure("predict", title, [WHOLE_RUN, PEAK], partial(c.ferrotune_predict, context, rows), opponents)


def first_step(context):
    """A start with the model on disk: load, read and tokenize the rows, one step."""
    rows, model = context.rows, context.minilm
    ours = partial(c.ferrotune_train, context, model, rows, ["--max-steps", "1"], first_step=True)
    theirs = partial(c.torch_first_step, context, model, rows, "--batching", "dynamic", "--fused")
    return Measure("first-step", "MiniLM training", [FIRST_STEP], ours, [c.Contestant("PyTorch fp32, dynamic, fused AdamW", theirs)])


def chosen(context, names):
    """The measures with these names, in the order of NAMES."""
    base = context.work / "bert-base"
    minilm = ("MiniLM training", context, context.minilm, context.rows, context.warm_up)
    bert_base = ("BERT-base training", context, base, context.base_rows, context.base_warm_up)
    makers = {
        "minilm": lambda: training("minilm", *minilm),
        "minilm-bf16": lambda: training("minilm-bf16", *minilm, "bf16"),
        "bert-base": lambda: training("bert-base", *bert_base),
        "bert-base-bf16": lambda: training("bert-base-bf16", *bert_base, "bf16"),
        "frozen": lambda: frozen(context),
        "inference": lambda: inference(context),
        "inference-bf16": lambda: inference(context, "bf16"),
        "predict": lambda: predict(context),
        "first-step": lambda: first_step(context),
    }
    return [makers[name]() for name in NAMES if name in names]
