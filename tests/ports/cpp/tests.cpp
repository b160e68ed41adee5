// Unit tests. A failed check is counted and reported, never assert()ed: they must also fail with NDEBUG.
#include "workload.hpp"

#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace dkv;
using namespace std::string_literals;

namespace {

std::string current_test;
int failures = 0;

template <class Got, class Want>
void expect(std::string_view what, const Got& got, const Want& want) {
    if (got == want) return;
    ++failures;
    std::cerr << current_test << ": " << what << ": got " << got << ", want " << want << '\n';
}

const Command<Bytes, Bytes> put_a{Kind::put, "a", "v"};

// The complaint about the replica that differs, or nothing if all agree.
std::string disagreement(const StringCluster& cluster) {
    try {
        answer(cluster);
        return "";
    } catch (const std::runtime_error& error) {
        return error.what();
    }
}

template <class Key, class Value>
std::vector<Key> keys(const Replica<Key, Value>& replica) {
    std::vector<Key> out;
    for (const auto& [key, value] : replica.store()) out.push_back(key);
    return out;
}

void generator_check_value() { expect("first word from state 0", Generator(0).next(), 0x8b57dafca0cee644); }

void the_four_exams() {
    const auto exam = [](Workload workload, std::string_view hash) {
        expect(hash, sha256(run(workload)), hash);
        expect("the same seed once more", sha256(run(workload)), hash);
    };
    using enum Scenario;
    exam({42, 500, 32, default_}, "1febc1252f87f873c315526e9d9c78a622131d700dccca84a6e089244930252b");
    exam({7, 2000, 128, partition}, "272af5b41b729896a7195a6ea72d19111a96a50b29d5d4cdfaac03a058e1a2dc");
    exam({42, 200, 16, normal}, "5976b45b9f40f440e8249da27fe4fe752e005f606efc3596bdb25ca4e4f99296");
    exam({7, 2000, 128, fault}, "d67c36725af65242e985a308db5152af2a3e2525fab33d11ed6e826a252ff792");
}

void snapshot_of_one_put_is_38_bytes() {
    StringCluster cluster(1);
    cluster.propose(put_a);
    const auto one_in_64_bits = "\x01\0\0\0\0\0\0\0"s;
    const auto one_in_32_bits = "\x01\0\0\0"s;
    const auto want = "DSEDKV20" + one_in_64_bits + one_in_64_bits + one_in_32_bits +
                      one_in_32_bits + "a" + one_in_32_bits + "v";
    expect("size", want.size(), 38u);
    expect("snapshot", snapshot(cluster.leader()), want);
}

void snapshot_of_three_nodes_is_99_bytes_empty_and_246_after_one_write() {
    IntegerCluster cluster(3);
    expect("empty", answer(cluster).size(), 99u);
    cluster.propose({Kind::put, 5, 7});
    expect("one write", answer(cluster).size(), 246u);
}

void keys_are_in_the_order_of_the_formats() {
    IntegerCluster integers(1);
    for (const std::int64_t key : {3, -1, 0, -7}) integers.propose({Kind::put, key, 1});
    expect("signed integers", keys(integers.leader()) == std::vector<std::int64_t>{-7, -1, 0, 3}, true);
    StringCluster strings(1);
    for (const auto key : {"k9", "k10", "k1", "k\xff"}) strings.propose({Kind::put, key, ""});
    expect("unsigned bytes", keys(strings.leader()) == std::vector<Bytes>{"k1", "k10", "k9", "k\xff"}, true);
}

void dsedist2_refuses_a_noop() {
    IntegerCluster cluster(3);
    cluster.propose({Kind::noop, 0, 0});
    bool refused = false;
    try {
        answer(cluster);
    } catch (const std::logic_error&) {
        refused = true;
    }
    expect("refused", refused, true);
}

void one_replica_is_its_own_quorum() {
    StringCluster cluster(1);
    expect("index", cluster.propose(put_a), 1u);
    expect("commit index", cluster.leader().commit_index(), 1u);
}

void three_of_five_commit() {
    StringCluster cluster(5);
    cluster.partition({1, 2});
    cluster.propose(put_a);
    for (const auto id : {0, 3, 4}) expect("commit index in reach", cluster.replica(id).commit_index(), 1u);
    for (const auto id : {1, 2}) expect("commit index when cut off", cluster.replica(id).commit_index(), 0u);
}

void two_of_five_do_not_commit() {
    StringCluster cluster(5);
    cluster.propose(put_a);
    cluster.partition({1, 2, 3});
    cluster.propose({Kind::put, "a", "w"});
    expect("last index", cluster.leader().last_index(), 2u);
    expect("commit index", cluster.leader().commit_index(), 1u);
    expect("value", cluster.leader().store().at("a"), "v");
    cluster.heal();
    expect("commit index after heal", cluster.leader().commit_index(), 2u);
    expect("value after heal", cluster.leader().store().at("a"), "w");
    expect("disagreement after heal", disagreement(cluster), "");
}

void an_isolated_leader_commits_nothing_until_heal() {
    StringCluster cluster(5);
    cluster.partition({0});
    cluster.propose(put_a);
    expect("last index of the leader", cluster.leader().last_index(), 1u);
    expect("commit index of the leader", cluster.leader().commit_index(), 0u);
    expect("last index of a follower", cluster.replica(4).last_index(), 0u);
    cluster.heal();
    expect("commit index after heal", cluster.leader().commit_index(), 1u);
    expect("disagreement after heal", disagreement(cluster), "");
}

void a_partitioned_follower_catches_up_on_heal() {
    StringCluster cluster(5);
    cluster.partition({3});
    cluster.propose(put_a);
    expect("commit index while cut off", cluster.replica(3).commit_index(), 0u);
    expect("log while cut off", cluster.replica(3).last_index(), 0u);
    expect("disagreement", disagreement(cluster), "the snapshot of replica 3 differs from the leader's");
    cluster.heal();
    expect("commit index after heal", cluster.replica(3).commit_index(), 1u);
    expect("disagreement after heal", disagreement(cluster), "");
}

void noop_moves_the_commit_index_only() {
    StringCluster cluster(3);
    cluster.propose({Kind::noop, "", ""});
    for (std::size_t id = 0; id < cluster.size(); ++id) {
        expect("commit index", cluster.replica(id).commit_index(), 1u);
        expect("live keys", cluster.replica(id).store().size(), 0u);
    }
}

void del_removes_and_a_later_put_is_fresh() {
    StringCluster cluster(3);
    cluster.propose(put_a);
    cluster.propose({Kind::del, "a", ""});
    expect("live keys after del", cluster.leader().store().size(), 0u);
    cluster.propose({Kind::del, "never there", ""});
    cluster.propose({Kind::put, "a", "w"});
    expect("live keys", cluster.leader().store().size(), 1u);
    expect("value", cluster.leader().store().at("a"), "w");
    expect("commit index", cluster.leader().commit_index(), 4u);
}

// Whatever the operation count: among the small ones the two points of an outage coincide, or there is none.
void faults_leave_no_trace() {
    for (std::uint32_t ops = 0; ops < 24; ++ops) {
        using enum Scenario;
        const auto same = [ops](Scenario a, Scenario b) { return run({9, ops, 5, a}) == run({9, ops, 5, b}); };
        expect(std::to_string(ops) + " operations, five replicas", same(default_, partition), true);
        expect(std::to_string(ops) + " operations, three nodes", same(normal, fault), true);
    }
}

void extreme_seeds_and_keys_work() {
    for (const auto scenario : {Scenario::default_, Scenario::partition, Scenario::normal, Scenario::fault}) {
        expect("one key", run({UINT64_MAX, 40, 1, scenario}).empty(), false);
        expect("all keys", run({UINT64_MAX, 40, UINT64_MAX, scenario}).empty(), false);
    }
}

}  // namespace

int main() {
    struct Test {
        std::string name;
        void (*body)();
    };
#define TEST(function) Test{#function, function}
    const std::vector<Test> tests{
        TEST(generator_check_value),
        TEST(the_four_exams),
        TEST(snapshot_of_one_put_is_38_bytes),
        TEST(snapshot_of_three_nodes_is_99_bytes_empty_and_246_after_one_write),
        TEST(keys_are_in_the_order_of_the_formats),
        TEST(dsedist2_refuses_a_noop),
        TEST(one_replica_is_its_own_quorum),
        TEST(three_of_five_commit),
        TEST(two_of_five_do_not_commit),
        TEST(an_isolated_leader_commits_nothing_until_heal),
        TEST(a_partitioned_follower_catches_up_on_heal),
        TEST(noop_moves_the_commit_index_only),
        TEST(del_removes_and_a_later_put_is_fresh),
        TEST(faults_leave_no_trace),
        TEST(extreme_seeds_and_keys_work),
    };
    for (const auto& [name, body] : tests) {
        current_test = name;
        try {
            body();
        } catch (const std::exception& error) {
            ++failures;
            std::cerr << name << ": " << error.what() << '\n';
        }
    }
#ifdef NDEBUG
    const auto build = "NDEBUG";
#else
    const auto build = "checked";
#endif
    std::cout << tests.size() << " tests (" << build << " build), " << failures << " failed checks\n";
    return failures == 0 ? 0 : 1;
}
