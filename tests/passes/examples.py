"""Small graphs: one for each rewrite rule, and those that no rule may touch."""
from __future__ import annotations


def graph(params: str, *lines: str) -> str:
    """`graph("f32[2] i64[]", "f32[2] = negate(%0)")`: values are numbered, the last line is the output."""
    types = params.split()
    head = ", ".join(f"%{i}: {t}" for i, t in enumerate(types))
    body = [f"  %{len(types) + i}: {line}" for i, line in enumerate(lines)]
    return "\n".join([f"graph({head}) {{", *body, f"  return %{len(types) + len(lines) - 1}", "}"])


def number(value: str, type: str) -> str:
    return f"{type} = constant(value={value}, type={type})"


def with_number(type: str, value: str, op: str, result: str = "") -> str:
    """op(parameter, constant)."""
    return graph(type, number(value, type), f"{result or type} = {op}")


PICKED = """
graph(%0: bool[6], %1: f32[6], %2: f32[]) {{
  %3: i64[6] = convert(%0, dtype=i64)
  %4: i64[] = reduce_sum(%3, axes=(0,))
  %5: i64[] = bind_dim(%4, dim='u0')
  %6: i64[u0] = compact_indices(%0, size=u0)
  %7: f32[u0] = gather(%1, %6, axes=(0,))
  %8: f32[u0] = multiply(%7, %7)
{}
}}"""

EXAMPLES: dict[str, str] = {
    # folding
    "fold_pointwise": graph("f32[2]", number("2.0", "f32[2]"), number("3", "f32[2]"), "f32[2] = divide(%1, %2)",
                            "f32[2] = add(%0, %3)"),
    "fold_pointwise:dense": graph("f32[2]", number("(1.5, -2.0)", "f32[2]"), number("3", "f32[2]"),
                                  "f32[2] = multiply(%1, %2)", "f32[2] = add(%0, %3)"),
    "fold_view": graph("f32[2,3]", number("2.5", "f32[]"), "f32[2,3] = broadcast_in_dim(%1, shape=(2, 3), dims=())",
                       "f32[2,3] = subtract(%0, %2)"),
    "fold_view:dense": graph("i64[2]", number("(1, 2, 3)", "i64[3]"), "i64[3] = reverse(%1, axes=(0,))",
                             "i64[2] = slice(%2, start=(0,), limit=(2,), stride=(1,))", "i64[2] = add(%0, %3)"),
    "fold_reduction": graph("f32[]", number("1.0", "f32[1000]"), "f32[] = reduce_sum(%1, axes=(0,))",
                            "f32[] = divide(%0, %2)"),
    "fold_dimension": graph("i64[]", "i64[] = dimension(size=7)", "i64[] = add(%0, %1)"),
    "fold_case": """
graph(%0: f32[2]) {
  %1: i64[] = constant(value=1, type=i64[])
  %2: f32[2] = case(%1, %0)
    branches0 = graph(%0: f32[2]) {
      return %0
    }
    branches1 = graph(%0: f32[2]) {
      %1: f32[2] = negate(%0)
      return %1
    }
  return %2
}""",
    "fold_while": """
graph(%0: f32[2]) {
  %1: f32[2] = while(%0, carries=1)
    body = graph(%0: f32[2]) {
      %1: f32[2] = sine(%0)
      return %1
    }
    cond = graph(%0: f32[2]) {
      %1: bool[] = constant(value=False, type=bool[])
      return %1
    }
  return %1
}""",
    "fold_checkpoint": """
graph(%0: f32[2]) {
  %1: f32[2] = checkpoint(%0)
    body = graph(%0: f32[2]) {
      %1: f32[2] = sine(%0)
      return %1
    }
  return %1
}""",
    "fold_custom": """
graph(%0: f32[2]) {
  %1: f32[2] = custom(%0, backward=None, forward=None, leaves=1, name='f', tangent=None)
    body = graph(%0: f32[2]) {
      %1: f32[2] = sine(%0)
      return %1
    }
  return %1
}""",
    "fold_stop_gradient": """
graph(%0: f32[2]) {
  %1: f32[2] = stop_gradient(%0)
  %2: f32[2] = sine(%1)
  return %2
}""",
    "fold_try": """
graph(%0: f32[2]) {
  %1: f32[2] = try(%0, label='t')
    body = graph(%0: f32[2]) {
      %1: f32[2] = sine(%0)
      return %1
    }
    handlers0 = graph(%0: f32[2]) {
      return %0
    }
  return %1
}""",
    "fold_for": """
graph(%0: f32[2]) {
  %1: i64[] = constant(value=3, type=i64[])
  %2: i64[] = constant(value=1, type=i64[])
  %3: f32[2] = for(%1, %1, %2, %0, carries=1)
    body = graph(%0: i64[], %1: f32[2]) {
      %2: f32[2] = sine(%1)
      return %2
    }
  return %3
}""",
    # neutral and absorbing numbers
    "add_nothing": with_number("i32[2]", "0", "add(%1, %0)"),
    "add_nothing:float": with_number("f32[9]", "-0.0", "add(%0, %1)"),
    "subtract_nothing": with_number("f32[9]", "0.0", "subtract(%0, %1)"),
    "subtract_itself": graph("i32[4]", "i32[4] = subtract(%0, %0)"),
    "multiply_by_unit": with_number("f32[9]", "1", "multiply(%0, %1)"),
    "multiply_by_unit:minus": with_number("f32[9]", "-1.0", "multiply(%1, %0)"),
    "multiply_by_unit:zero": with_number("i32[9]", "0", "multiply(%1, %0)"),
    "divide_by_power_of_two": with_number("f32[9]", "-8.0", "divide(%0, %1)"),
    "floor_divide_by_power_of_two": with_number("i32[9]", "4", "floor_divide(%0, %1)"),
    "remainder_by_power_of_two": with_number("i32[9]", "8", "remainder(%0, %1)"),
    "shift_left_by_nothing": with_number("i32[2]", "0", "shift_left(%0, %1)"),
    "shift_right_by_nothing": with_number("i32[2]", "0", "shift_right(%0, %1)"),
    "and_with_number": with_number("bool[4]", "True", "and(%1, %0)"),
    "and_with_number:zero": with_number("i32[4]", "0", "and(%1, %0)"),
    "or_with_number": with_number("bool[4]", "True", "or(%1, %0)"),
    "or_with_number:zero": with_number("u8[4]", "0", "or(%1, %0)"),
    "xor_with_number": with_number("bool[4]", "True", "xor(%1, %0)"),
    "combine_with_itself": graph("f32[4]", "f32[4] = maximum(%0, %0)"),
    "combine_with_itself:and": graph("bool[4]", "bool[4] = and(%0, %0)"),
    "xor_with_itself": graph("i8[4]", "i8[4] = xor(%0, %0)"),
    # inverses
    "apply_twice": graph("f32[4]", "f32[4] = negate(%0)", "f32[4] = negate(%1)"),
    "apply_twice:not": graph("i32[4]", "i32[4] = not(%0)", "i32[4] = not(%1)"),
    "abs_without_sign": graph("f32[4]", "f32[4] = negate(%0)", "f32[4] = abs(%1)"),
    "abs_without_sign:abs": graph("f32[4]", "f32[4] = abs(%0)", "f32[4] = abs(%1)"),
    "add_negated": graph("f32[9] f32[9]", "f32[9] = negate(%1)", "f32[9] = add(%2, %0)"),
    "subtract_negated": graph("f32[9] f32[9]", "f32[9] = negate(%1)", "f32[9] = subtract(%0, %2)"),
    "multiply_negated": graph("f32[9] f32[9]", "f32[9] = negate(%1)", "f32[9] = negate(%0)",
                              "f32[9] = multiply(%3, %2)"),
    "real_of_parts": graph("f32[2] f32[2]", "c64[2] = complex(%0, %1)", "f32[2] = real(%2)"),
    "imag_of_parts": graph("f32[2] f32[2]", "c64[2] = complex(%0, %1)", "f32[2] = imag(%2)"),
    "parts_of_complex": graph("c64[2]", "f32[2] = real(%0)", "f32[2] = imag(%0)", "c64[2] = complex(%1, %2)"),
    # comparison, selection, conversion
    "compare_with_itself": graph("i32[2]", "bool[2] = compare(%0, %0, direction='LE')"),
    "compare_with_itself:float": graph("f32[9]", "bool[9] = compare(%0, %0, direction='LT')"),
    "negate_comparison": graph("i32[2] i32[2]", "bool[2] = compare(%0, %1, direction='LE')", "bool[2] = not(%2)"),
    "negate_comparison:float": graph("f32[9] f32[9]", "bool[9] = compare(%0, %1, direction='EQ')",
                                     "bool[9] = not(%2)"),
    "select_between_equals": graph("bool[2] f32[2]", "f32[2] = select(%0, %1, %1)"),
    "select_by_constant": graph("f32[2] f32[2]", number("False", "bool[2]"), "f32[2] = select(%2, %0, %1)"),
    "select_by_negation": graph("bool[2] f32[2] f32[2]", "bool[2] = not(%0)", "f32[2] = select(%3, %1, %2)"),
    "select_truth": graph("bool[2]", number("False", "bool[2]"), number("True", "bool[2]"),
                          "bool[2] = select(%0, %1, %2)"),
    "convert_to_itself": graph("f32[2]", "f32[2] = convert(%0, dtype=f32)"),
    "convert_directly": graph("f16[2]", "f64[2] = convert(%0, dtype=f64)", "f16[2] = convert(%1, dtype=f16)"),
    "convert_directly:integers": graph("u8[2]", "i64[2] = convert(%0, dtype=i64)", "f32[2] = convert(%1, dtype=f32)"),
    # power
    "power_by_products": with_number("f64[9]", "3.0", "power(%0, %1)"),
    "power_by_products:four": with_number("i32[9]", "4", "power(%0, %1)"),
    "power_by_products:minus": with_number("f64[9]", "-1", "power(%0, %1)"),
    "power_by_products:none": with_number("f64[9]", "0", "power(%0, %1)"),
    "power_by_root": with_number("f64[20]", "0.5", "power(%0, %1)"),
    # broadcasts
    "compute_before_broadcast": graph(
        "f32[3] f32[3] f32[n]", "f32[n,3] = broadcast_in_dim(%0, shape=(n, 3), dims=(1,))",
        "f32[n,3] = broadcast_in_dim(%1, shape=(n, 3), dims=(1,))", "f32[n,3] = atan2(%3, %4)",
        number("2.0", "f32[n,3]"), "f32[n,3] = multiply(%5, %6)"),
    "merge_broadcasts": graph("f32[3]", "f32[2,3] = broadcast_in_dim(%0, shape=(2, 3), dims=(1,))",
                                    "f32[4,2,3] = broadcast_in_dim(%1, shape=(4, 2, 3), dims=(1, 2))"),
    "broadcast_reshaped": graph("f32[2,3]", "f32[2,1,3] = reshape(%0, shape=(2, 1, 3))",
                                "f32[2,4,3] = broadcast_in_dim(%1, shape=(2, 4, 3), dims=(0, 1, 2))"),
    "broadcast_reshaped:dropped": graph("f32[1,3]", "f32[3] = reshape(%0, shape=(3,))",
                                        "f32[2,3] = broadcast_in_dim(%1, shape=(2, 3), dims=(1,))"),
    "reshape_broadcast:dropped": graph("f32[3]", "f32[2,1,3] = broadcast_in_dim(%0, shape=(2, 1, 3), dims=(2,))",
                                       "f32[2,3] = reshape(%1, shape=(2, 3))"),
    "reshape_broadcast": graph("f32[3]", "f32[2,3] = broadcast_in_dim(%0, shape=(2, 3), dims=(1,))",
                               "f32[2,1,3,1] = reshape(%1, shape=(2, 1, 3, 1))"),
    "broadcast_without_growth": graph("f32[3]", "f32[1,3] = broadcast_in_dim(%0, shape=(1, 3), dims=(1,))"),
    # views
    "drop_identity_view": graph("f32[2,3]", "f32[2,3] = transpose(%0, permutation=(0, 1))",
                                "f32[2,3] = reshape(%1, shape=(2, 3))",
                                "f32[2,3] = slice(%2, start=(0, 0), limit=(2, 3), stride=(1, 1))",
                                "f32[2,3] = broadcast_in_dim(%3, shape=(2, 3), dims=(0, 1))",
                                "f32[2,3] = reverse(%4, axes=())", "f32[2,3] = concatenate(%5, axis=1)"),
    "merge_reshapes": graph("f32[n,6]", "f32[n,2,3] = reshape(%0, shape=(n, 2, 3))",
                            "f32[n,3,2] = reshape(%1, shape=(n, 3, 2))"),
    "transpose_of_units": graph("f32[3,1,2]", "f32[1,3,2] = transpose(%0, permutation=(1, 0, 2))"),
    "reshape_before_pointwise": graph(
        "f32[2,6] f32[12]", "f32[2,6] = exponential(%0)", number("2.0", "f32[2,6]"), "f32[2,6] = add(%2, %3)",
        "f32[2,6] = multiply(%4, %2)", "f32[12] = reshape(%5, shape=(12,))", "f32[12] = add(%6, %1)"),
    "reshape_before_pointwise:broadcast": graph(
        "f32[2,6] f32[6] f32[2,1,6]", "f32[2,6] = broadcast_in_dim(%1, shape=(2, 6), dims=(1,))",
        "f32[2,6] = add(%0, %3)", "f32[2,1,6] = reshape(%4, shape=(2, 1, 6))", "f32[2,1,6] = multiply(%5, %2)"),
    "merge_transposes": graph("f32[2,3,4]", "f32[4,2,3] = transpose(%0, permutation=(2, 0, 1))",
                              "f32[3,4,2] = transpose(%1, permutation=(2, 0, 1))"),
    "transpose_broadcast": graph("f32[2,3]", "f32[2,4,3] = broadcast_in_dim(%0, shape=(2, 4, 3), dims=(0, 2))",
                                 "f32[3,4,2] = transpose(%1, permutation=(2, 1, 0))"),
    "merge_slices": graph("f32[20]", "f32[6] = slice(%0, start=(2,), limit=(18,), stride=(3,))",
                          "f32[3] = slice(%1, start=(1,), limit=(6,), stride=(2,))"),
    "merge_slices:symbolic": graph("f32[n]", "f32[n-1] = slice(%0, start=(1,), limit=(n,), stride=(1,))",
                                   "f32[n-2] = slice(%1, start=(1,), limit=(n-1,), stride=(1,))"),
    "slice_concatenation": graph("f32[2,3] f32[4,3]", "f32[6,3] = concatenate(%0, %1, axis=0)",
                                 "f32[2,2] = slice(%2, start=(3, 1), limit=(5, 3), stride=(1, 1))"),
    "slice_broadcast": graph("f32[5]", "f32[8,5] = broadcast_in_dim(%0, shape=(8, 5), dims=(1,))",
                             "f32[3,2] = slice(%1, start=(2, 1), limit=(8, 4), stride=(2, 2))"),
    "merge_reverses": graph("f32[2,3]", "f32[2,3] = reverse(%0, axes=(0, 1))", "f32[2,3] = reverse(%1, axes=(1,))"),
    "flatten_concatenation": graph("f32[2] f32[0] f32[3]", "f32[5] = concatenate(%0, %1, %2, axis=0)",
                                   "f32[7] = concatenate(%3, %0, axis=0)"),
    "reshape_points": graph("f64[5,n] i64[]", "f64[5,n-1] = slice(%0, start=(0, 1), limit=(5, n), stride=(1, 1))",
                            "f64[n-1] = gather(%2, %1, axes=(0,))", "f64[n-1] = negate(%3)",
                            "f64[1,n-1] = reshape(%4, shape=(1, n-1))", "f64[1,n-1] = sine(%5)"),
    "slice_at_constants": graph("f32[5,4]", number("4", "i64[]"), number("-1", "i64[]"),
                                "f32[2,3] = dynamic_slice(%0, %1, %2, sizes=(2, 3))"),
    # reductions
    "reduce_single_elements": graph("f32[3,1]", "f32[3] = reduce_sum(%0, axes=(1,))"),
    "merge_reductions": graph("f32[2,3,4]", "f32[2,4] = reduce_max(%0, axes=(1,))",
                              "f32[2] = reduce_max(%1, axes=(1,))"),
    "reduce_before_broadcast": graph("f32[2,3]", "f32[2,4,3] = broadcast_in_dim(%0, shape=(2, 4, 3), dims=(0, 2))",
                                     "f32[3] = reduce_max(%1, axes=(0, 1))"),
    "reduce_before_transpose": graph("f64[2,3,4]", "f64[4,3,2] = transpose(%0, permutation=(2, 1, 0))",
                                     "f64[4,3] = reduce_max(%1, axes=(2,))"),
    "contract_transposed": graph("i32[3,2] i32[4,3]", "i32[2,3] = transpose(%0, permutation=(1, 0))",
                                 "i32[3,4] = transpose(%1, permutation=(1, 0))",
                                 "i32[2,4] = dot_general(%2, %3, lhs_batch=(), rhs_batch=(), lhs_contract=(1,), "
                                 "rhs_contract=(0,))"),
    # slice updates
    "slice_update": graph("f32[8] f32[4]", number("2", "i64[]"), "f32[8] = dynamic_update_slice(%0, %1, %2)",
                          "f32[2] = slice(%3, start=(3,), limit=(5,), stride=(1,))", "f32[2] = negate(%4)"),
    "slice_update:beside": graph("f32[8] f32[4]", number("2", "i64[]"), "f32[8] = dynamic_update_slice(%0, %1, %2)",
                                 "f32[2] = slice(%3, start=(6,), limit=(8,), stride=(1,))", "f32[2] = negate(%4)"),
    "slice_same_window": graph("f32[8] f32[4] i64[]", "f32[8] = dynamic_update_slice(%0, %1, %2)",
                               "f32[4] = dynamic_slice(%3, %2, sizes=(4,))", "f32[4] = negate(%4)"),
    "update_whole": graph("f32[8] f32[8] i64[]", "f32[8] = dynamic_update_slice(%0, %1, %2)", "f32[8] = negate(%3)"),
    "update_with_itself": graph("f32[8]", number("2", "i64[]"),
                                "f32[4] = slice(%0, start=(2,), limit=(6,), stride=(1,))",
                                "f32[8] = dynamic_update_slice(%0, %2, %1)", "f32[8] = negate(%3)"),
    "update_over_update": graph("f32[8] f32[2] f32[4]", number("2", "i64[]"), number("3", "i64[]"),
                                "f32[8] = dynamic_update_slice(%0, %1, %4)",
                                "f32[8] = dynamic_update_slice(%5, %2, %3)"),
    # masks
    "select_picked": PICKED.format("""  %9: i64[6] = cumulative_sum(%3, axis=0, reverse=False)
  %10: i64[6] = constant(value=1, type=i64[6])
  %11: i64[6] = subtract(%9, %10)
  %12: f32[6] = gather(%8, %11, axes=(0,))
  %13: f32[6] = select(%0, %12, %1)
  return %13"""),
    "scatter_picked": PICKED.format("""  %9: f32[6] = scatter(%1, %8, %6, axes=(0,), combine='set')
  return %9"""),
    "dimension_of_bound": graph("i64[] f32[6]", "i64[] = bind_dim(%0, dim='u0')", "i64[] = dimension(size=u0)",
                                "i64[] = negate(%3)"),
    "drop_true_assertion": """
graph(%0: f32[2]) {
  %1: bool[] = constant(value=True, type=bool[])
  assert(%1, exception='ValueError', message='never')
  %2: f32[2] = negate(%0)
  return %2
}""",
    "drop_unused_size": graph("i64[]", "i64[] = bind_dim(%0, dim='u0')", "i64[] = negate(%1)"),
    "broadcast_pointwise_of_units": graph(
        "f32[4,3] f32[4]", number("1.0", "f32[4,1]"), "f32[4,1] = reshape(%1, shape=(4, 1))",
        "f32[4,1] = add(%3, %2)", "f32[4,3] = broadcast_in_dim(%4, shape=(4, 3), dims=(0, 1))",
        "f32[4,3] = subtract(%0, %5)"),
    "gather_of_neighbours": graph("f32[6,3]", "i64[4] = iota(dimension=0, type=i64[4])", number("2", "i64[4]"),
                                  "i64[4] = add(%1, %2)", "f32[4,3] = gather(%0, %3, axes=(0,))"),
    "gather_of_neighbours:crossed": graph(
        "f32[4,3]", "i64[3,5,4] = iota(dimension=2, type=i64[3,5,4])",
        "i64[3,5,4] = iota(dimension=0, type=i64[3,5,4])",
        "f32[3,5,4] = gather(%0, %1, %2, axes=(0, 1))"),
    "scatter_to_neighbours": graph("f32[5]", "f32[3] = iota(dimension=0, type=f32[3])",
                                   "i64[3] = iota(dimension=0, type=i64[3])", number("1", "i64[3]"),
                                   "i64[3] = add(%2, %3)", "f32[5] = scatter(%0, %1, %4, axes=(0,), combine='set')"),
    "scatter_to_neighbours:crossed": graph(
        "f32[4,3] f32[3,4]", "i64[3,4] = iota(dimension=1, type=i64[3,4])",
        "i64[3,4] = iota(dimension=0, type=i64[3,4])",
        "f32[4,3] = scatter(%0, %1, %2, %3, axes=(0, 1), combine='set')"),
    "clamp_of_count": graph("f32[4]", "i64[4] = iota(dimension=0, type=i64[4])", number("3", "i64[4]"),
                            "i64[4] = minimum(%1, %2)", "f32[4] = convert(%3, dtype=f32)", "f32[4] = add(%0, %4)"),
    "clamp_of_count:any_size": graph(
        "i64[n]", "i64[n] = iota(dimension=0, type=i64[n])", "i64[] = dimension(size=n)", number("-1", "i64[]"),
        "i64[] = add(%2, %3)", "i64[n] = broadcast_in_dim(%4, shape=(n,), dims=())", "i64[n] = minimum(%1, %5)",
        "i64[n] = add(%0, %6)"),
    "reshape_gathered": graph(
        "f32[5] i64[4,1] f32[4]", "f32[4,1] = gather(%0, %1, axes=(0,))", "f32[4] = reshape(%3, shape=(4,))",
        "f32[4] = add(%4, %2)"),
    "reduce_before_reshape": graph("i64[4]", "i64[4,1] = reshape(%0, shape=(4, 1))",
                                   "i64[] = reduce_max(%1, axes=(0, 1))"),
    "scatter_once_a_row": graph(
        "f32[4,1] i64[4,1]", number("2.0", "f32[4,3]"), "i64[4,1] = iota(dimension=0, type=i64[4,1])",
        "f32[4,3] = scatter(%2, %0, %3, %1, axes=(0, 1), combine='add')"),
    "scatter_once_a_row:first_axis": graph(
        "f32[4] i64[4] f32[3,4]", "f32[3,4] = sine(%2)", "i64[4] = iota(dimension=0, type=i64[4])",
        "f32[3,4] = scatter(%3, %0, %1, %4, axes=(0, 1), combine='set')"),
    "gather_before_pointwise": graph(
        "f32[4,3] f32[4] i64[4,1]", "f32[4,3] = broadcast_in_dim(%1, shape=(4, 3), dims=(0,))",
        "f32[4,3] = subtract(%0, %3)", "i64[4,1] = iota(dimension=0, type=i64[4,1])",
        "f32[4,1] = gather(%4, %5, %2, axes=(0, 1))"),
    "gather_before_pointwise:few": graph(
        "f32[4,3] i64[2]", number("2.0", "f32[4,3]"), "f32[4,3] = power(%0, %2)",
        "f32[2,3] = gather(%3, %1, axes=(0,))"),
}

KEPT: dict[str, str] = {
    "float_zero": with_number("f32[2]", "0.0", "add(%0, %1)"),
    "float_minus_zero": with_number("f32[2]", "-0.0", "subtract(%0, %1)"),
    "float_times_zero": with_number("f32[2]", "0.0", "multiply(%0, %1)"),
    "float_difference": graph("f32[2]", "f32[2] = subtract(%0, %0)"),
    "float_equality": graph("f32[2]", "bool[2] = compare(%0, %0, direction='EQ')"),
    "float_order_negated": graph("f32[2] f32[2]", "bool[2] = compare(%0, %1, direction='LT')", "bool[2] = not(%2)"),
    "division_by_three": with_number("f32[2]", "3.0", "divide(%0, %1)"),
    "division_by_least_power": with_number("f32[2]", "1.401298464324817e-45", "divide(%0, %1)"),
    "rounding_conversion": graph("f64[2]", "f32[2] = convert(%0, dtype=f32)", "f64[2] = convert(%1, dtype=f64)"),
    "overflow_by_another_route": graph("i32[2]", "f64[2] = convert(%0, dtype=f64)", "i8[2] = convert(%1, dtype=i8)"),
    "float_sum_of_sums": graph("f32[2,3]", "f32[2] = reduce_sum(%0, axes=(1,))", "f32[] = reduce_sum(%1, axes=(0,))"),
    "sum_of_broadcast": graph("f32[2]", "f32[2,3] = broadcast_in_dim(%0, shape=(2, 3), dims=(0,))",
                              "f32[2] = reduce_sum(%1, axes=(1,))"),
    "max_over_symbolic_axis": graph("f32[2] f32[n]", "f32[2,n] = broadcast_in_dim(%0, shape=(2, n), dims=(0,))",
                                    "f32[2] = reduce_max(%2, axes=(1,))"),
    "reshaped_output": graph("f32[2,6]", "f32[2,6] = exponential(%0)", "f32[12] = reshape(%1, shape=(12,))"),
    "negative_integer_power": graph("i32[2]", number("2", "i32[2]"), number("-1", "i32[2]"), "i32[2] = power(%1, %2)"),
    "slice_across_parts": graph("f32[2] f32[2]", "f32[4] = concatenate(%0, %1, axis=0)",
                                "f32[2] = slice(%2, start=(1,), limit=(3,), stride=(1,))"),
    "no_room_for_a_unit_axis": graph("f32[3,1]", "f32[3] = reshape(%0, shape=(3,))",
                                     "f32[2,3] = broadcast_in_dim(%1, shape=(2, 3), dims=(1,))"),
    "batch_axis_behind": graph("f32[3,2,4] f32[2,4,5]", "f32[2,3,4] = transpose(%0, permutation=(1, 0, 2))",
                               "f32[2,3,5] = dot_general(%2, %1, lhs_batch=(0,), rhs_batch=(0,), lhs_contract=(2,), "
                               "rhs_contract=(1,))"),
    "gather_beyond_the_end": graph("f32[4]", "i64[4] = iota(dimension=0, type=i64[4])", number("2", "i64[4]"),
                                   "i64[4] = add(%1, %2)", "f32[4] = gather(%0, %3, axes=(0,))"),
    "complex_times_one": with_number("c64[2]", "1", "multiply(%0, %1)"),
}
