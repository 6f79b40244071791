"""Writes a BERT classifier of transformers as an ONNX graph of ONNX Runtime's fused operators: the graph that its own optimizer aims at.

Inputs: ids and mask, int32 (batch, width). Output: logits (batch, labels). The token types are all 0.
The exporters of PyTorch give the same numbers, but from their graphs the attention is not fused.
"""

import numpy
from onnx import TensorProto, checker, helper, numpy_helper, save

FUSED = "com.microsoft"


class Graph:
    """Nodes and weights on their way into a file."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, array):
        """Adds a constant and gives its name."""
        self.weights.append(numpy_helper.from_array(numpy.array(array, order="C"), name))
        return name

    def node(self, op, inputs, name, domain="", outputs=1, **attributes):
        """Adds a node and gives the name of its first output."""
        names = [name] + [f"{name}.{i}" for i in range(1, outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=name, domain=domain, **attributes))
        return name


def layer(graph, index, hidden, mask, get, config):
    """One encoder layer: attention with one matmul for query, key and value; each residual fused with its layer norm."""
    at = f"bert.encoder.layer.{index}"
    parts = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
    qkv = graph.weight(f"{at}.qkv.weight", numpy.concatenate([get(f"{part}.weight").T for part in parts], axis=1))
    bias = graph.weight(f"{at}.qkv.bias", numpy.concatenate([get(f"{part}.bias") for part in parts]))
    attended = graph.node("Attention", [hidden, qkv, bias, mask], f"{at}.attention", FUSED, num_heads=config.num_attention_heads)

    def dense(name, source):
        return graph.node("MatMul", [source, graph.weight(f"{name}.weight", get(f"{name}.weight").T)], f"{name}.matmul")

    def bias_of(name):
        return graph.weight(f"{name}.bias", get(f"{name}.bias"))

    def residual(name, source, skip):
        norm = [graph.weight(f"{name}.LayerNorm.{part}", get(f"{name}.LayerNorm.{part}")) for part in ("weight", "bias")]
        inputs = [dense(f"{name}.dense", source), skip, *norm, bias_of(f"{name}.dense")]
        return graph.node("SkipLayerNormalization", inputs, f"{name}.norm", FUSED, epsilon=config.layer_norm_eps)

    hidden = residual(f"{at}.attention.output", attended, hidden)
    wide = dense(f"{at}.intermediate.dense", hidden)
    wide = graph.node("BiasGelu", [wide, bias_of(f"{at}.intermediate.dense")], f"{at}.gelu", FUSED)
    return residual(f"{at}.output", wide, hidden)


def write(model, path):
    """Writes a BertForSequenceClassification."""
    config, state = model.config, model.state_dict()
    graph = Graph()

    def get(name):
        return state[name].float().numpy()

    tables = [f"bert.embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    norm = [f"bert.embeddings.LayerNorm.{part}" for part in ("weight", "bias")]
    inputs = ["ids", graph.node("Sub", ["ids", "ids"], "types"), *(graph.weight(name, get(name)) for name in tables + norm)]
    hidden = graph.node(
        "EmbedLayerNormalization", inputs, "embeddings", FUSED, outputs=2, epsilon=config.layer_norm_eps)
    for index in range(config.num_hidden_layers):
        hidden = layer(graph, index, hidden, "mask", get, config)
    first = graph.node("Gather", [hidden, graph.weight("zero", numpy.array(0, numpy.int64))], "first", axis=1)
    for name in ("bert.pooler.dense", "classifier"):
        parts = [graph.weight(f"{name}.{part}", get(f"{name}.{part}")) for part in ("weight", "bias")]
        last = name == "classifier"
        first = graph.node("Gemm", [first, *parts], "logits" if last else f"{name}.gemm", transB=1)
        if not last:
            first = graph.node("Tanh", [first], "pooled")

    shape = ["batch", "width"]
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes, "bert-classifier",
            [helper.make_tensor_value_info(name, TensorProto.INT32, shape) for name in ("ids", "mask")],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", config.num_labels])],
            graph.weights),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)], ir_version=8)
    checker.check_model(proto)
    save(proto, str(path))
