"""The float network inside a QDQ file."""

import numpy as np
import onnx
from onnx import numpy_helper


def in_f32(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` without quantisation: activations stay as they are, weights are those of the int8 network in float32."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    instead: dict[str, str] = {}
    nodes, weights = [], []
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            values, scale, zero = (constants[name].astype(np.float64) for name in node.input)
            axis = next(a.i for a in node.attribute if a.name == "axis")
            along = [-1 if i == axis else 1 for i in range(values.ndim)]
            real = (values - zero.reshape(along)) * scale.reshape(along)
            weights.append(numpy_helper.from_array(real.astype(np.float32), node.output[0]))
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            instead[node.output[0]] = instead.get(node.input[0], node.input[0])
        elif node.op_type == "Gather":
            raise SystemExit(f"{node.name}: a table that is not a GELU has no float form")
        else:
            inputs = [instead.get(name, name) for name in node.input]
            del node.input[:]
            node.input.extend(inputs)
            nodes.append(node)
    # What the last operator writes is the output.
    output = graph.output[0].name
    nodes[-1].output[0] = output
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in [*graph.initializer, *weights] if tensor.name in used]
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    onnx.checker.check_model(result, full_check=True)
    return result
