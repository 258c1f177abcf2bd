"""Tries a server on a real cluster. Runs in one: see scripts/test-kubernetes.

CASEMATE is the program, PREPARED and SERVER_IMAGE are images that all nodes have. Arguments: the names of the tests to run; without
any, all. Each test is a function, and its name says what holds.
"""

import sys
import time

import chart
import faults
import figures
import permissions
import several
import walls
from cluster import WORK, enforce_policies, k, set_up

# The first one shows the cluster without enforced policies, and then has them enforced.
FIRST = walls.a_sandbox_that_reaches_the_api_server_does_not_begin
TESTS = [
    FIRST,
    walls.two_users_run_commands_and_see_only_their_own_files,
    walls.a_large_file_goes_through_the_stream_and_comes_back_whole,
    walls.the_walls_of_a_pod_hold,
    walls.a_pod_that_a_webhook_changes_is_refused_by_field,
    walls.a_container_that_is_added_later_ends_the_sandbox,
    several.two_servers_at_once_make_one_pod_and_share_it,
    several.a_server_that_is_killed_costs_no_call_of_another,
    several.fifty_users_at_once_have_one_pod_each,
    permissions.each_permission_is_needed,
    faults.a_command_runs_on_while_the_api_server_is_away_and_its_result_is_told,
    faults.what_the_cluster_cannot_give_is_said_in_its_own_words,
    faults.an_evicted_sandbox_is_lost_with_the_reason_that_kubernetes_gives,
    faults.a_pod_that_is_deleted_by_force_is_followed_only_by_one_that_is_alone,
    faults.a_node_that_boots_again_frees_the_workspaces_that_it_had,
    faults.another_machine_under_the_name_of_a_node_frees_no_workspace,
    faults.a_busy_api_server_is_asked_again_when_it_says,
    faults.an_operator_releases_a_workspace_whose_node_is_lost,
    faults.a_node_that_is_cut_off_keeps_its_workspace_to_itself,
    chart.the_chart_is_linted_and_admitted_at_pod_security_restricted,
    chart.servers_in_pods_serve_users_and_an_upgrade_costs_no_call,
    figures.figures,
]


def main():
    names = sys.argv[1:]
    wanted = [test for test in TESTS if not names or test.__name__ in names]
    unknown = set(names) - {test.__name__ for test in TESTS}
    if unknown:
        sys.exit(f"no such test: {', '.join(unknown)}")
    set_up()
    if FIRST not in wanted:
        enforce_policies()
    failed = [test.__name__ for test in wanted if not succeeds(test)]
    print(f"{len(failed)} failed; logs of the servers: {WORK}" if failed else "all hold", flush=True)
    sys.exit(1 if failed else 0)


def succeeds(test):
    begun = time.monotonic()
    try:
        test()
        print(f"ok {test.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
        return True
    except Exception as error:  # each test is told of, and the others run
        print(f"FAILED {test.__name__} ({time.monotonic() - begun:.1f} s): {error!r}", flush=True)
        print(k("get", "pods,pvc", "--output", "wide", check=False), flush=True)
        return False


main()
