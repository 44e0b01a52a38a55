"""The programs that are not compiled as they should; each is expected to fail, and removed when it does not.

Flows in: nothing.  Flows out: `NOT_YET`.
"""

NOT_YET = set("""
    adaptive_rk4 all_augmented_operators any_all_of_array any_and_all any_or_all append_arrays_and_stack
    append_in_while append_some append_to_an_argument append_traced_count assert_in_a_loop assert_on_an_array
    assert_with_values assert_without_message augmented_in_place band bare_raise binary_search binomial
    bisection branch_changes_an_argument branches_give_dicts break_and_continue break_in_nested_loops
    break_in_while break_with_more_code_after bubble_sort_with_swap builtins_on_numbers catch_around_a_loop
    catch_in_a_loop catch_index_error catch_own_error catch_zero_division change_a_dict change_a_list
    change_nested_arrays changes_before_an_error checked_log choose_the_handler clip_norm
    closure_over_parameters collatz_length complex_iteration compound_interest comprehension_with_traced_count
    conditional_arrays conjugate_gradient continue_in_while conversions_of_elements countdown counting_object
    decorated_lambda decorator_below default_by_or defaults_in_helpers defined_by_both_in_the_end
    delete_a_variable_in_a_loop delete_items deleted_in_branch dict_comprehension dict_is_updated dict_items
    dict_methods digit_sum double_buffered early_return edit_distance element_or_error else_without_break
    enumerate_from error_passes_inner_handler exponential_series fibonacci fill_traced_part filter_range
    finally_in_a_loop finally_writes find_in_matrix first_negative float_division formatted_error
    function_as_argument functions_made_in_a_loop game_of_life gcd gcd_sum global_array_in_place
    global_counter global_dict globals_in_a_loop gradient_descent guarded_division halves
    handler_reads_the_error heat_2d helper_through_module helper_with_loop histogram_by_hand in_range
    inner_function_with_branch inner_function_with_loop insertion_sort int_becomes_python_float is_prime
    jacobi_1d k_means lambda_with_condition largest_subarray_sum last_square lazy_and leave_in_the_middle
    linear_congruential list_as_a_stack list_is_updated list_methods local_array_written_in_nested_loops
    logic_values logistic_map longest_collatz loop_over_a_list_of_arrays loop_over_a_tail
    loop_variable_after_the_loop loop_variable_is_assigned loop_variable_without_rounds mandelbrot_counts
    mandelbrot_escape mandelbrot_masked map_to_list match_mapping match_sequence matrix_index_errors
    max_of_generator method_with_loop month_days nearest_below nested_branches nested_objects nested_returns
    nested_structure nested_unpacking newton_root newton_to_tolerance nonlocal_counter nonlocal_of_a_closure
    numpy_scalars_keep_their_type object_changed_before_an_error operators_of_a_class optimizer_with_state
    partial_function position_or_minus_one power_iteration power_modulo previous_value primes_below
    print_arrays print_before_an_error print_in_a_branch print_in_a_loop properties python_division
    raise_after_a_loop raise_from raise_in_a_loop raise_in_another_module range_with_step_zero
    range_with_traced_bounds_and_step recursion_over_structure reduce_with_branch relax_until_settled
    repeat_update return_an_array_from_a_loop return_first_negative return_in_one_branch return_none_always
    reversed_range rk4_oscillators safe_root scalar_becomes_array scale_by_sum search_down
    set_in_a_branch_of_a_loop several_exceptions shrink_until_small sieve sign_name slices_with_traced_bounds
    smallest smallest_divisor sort_three sorted_array special_values star_arguments star_call_in_loop
    static_and_class_methods store_past_the_end sum_of_odd sum_of_squares sum_positive sum_with_condition
    table_sum tax three_levels triangle_kind triangle_with_while try_with_all_parts tuples_are_carried
    two_conditions two_variables unbound_after_branch unbound_after_loop unbound_after_while
    views_written_in_loops walrus_in_expression walrus_in_while with_errstate with_in_a_loop with_own_manager
    with_suppress wrap_angles zero_or_sum
""".split())
WORKLOADS_NOT_YET: set[str] = set()
