// A cluster in one process: a leader, its followers, and the commands that a majority of them has stored.
//
// Replica 0 leads at term 1 for ever. Nobody else appends, so a follower's log is always the beginning of
// the leader's: there is nothing to elect and nothing to truncate. What is left of Raft is replication,
// commitment by a majority, and catching up.
//
// Broken invariants throw std::logic_error. They are no assert(): they must hold with NDEBUG, too.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace dkv {

using Index = std::uint64_t;
using Term = std::uint64_t;

// The numbers of put and del are part of the DSEDIST2 format.
enum class Kind : std::uint8_t { put = 0, del = 1, noop = 2 };

template <class Key, class Value>
struct Command {
    Kind kind;
    Key key;
    Value value;
};

template <class Key, class Value>
struct Entry {
    Term term;
    Index index;
    Command<Key, Value> command;
};

// One member: its log, and the store that the committed beginning of the log has produced.
template <class Key, class Value>
class Replica {
public:
    using Log = std::vector<Entry<Key, Value>>;
    using Store = std::map<Key, Value>;  // the order of the snapshots: bytes for strings, sign for integers

    Term current_term() const { return current_term_; }
    Index commit_index() const { return commit_index_; }
    Index last_index() const { return log_.size(); }
    const Log& log() const { return log_; }
    const Store& store() const { return store_; }

    void append(std::span<const Entry<Key, Value>> entries) {
        for (const auto& entry : entries) {
            if (entry.index != last_index() + 1) throw std::logic_error("an entry leaves a gap in the log");
            log_.push_back(entry);
        }
    }

    // Applies what has become committed up to `index`; an index that was passed before says nothing new.
    void commit(Index index) {
        if (index > last_index()) throw std::logic_error("the commit index is beyond the end of the log");
        while (commit_index_ < index) apply(log_[commit_index_++].command);
    }

private:
    void apply(const Command<Key, Value>& command) {
        switch (command.kind) {
            case Kind::put: store_.insert_or_assign(command.key, command.value); break;
            case Kind::del: store_.erase(command.key); break;
            case Kind::noop: break;
        }
    }

    Term current_term_ = 1;
    Index commit_index_ = 0;
    Log log_;
    Store store_;
};

// All replicas, and which of them are within reach. A message is a call; it arrives at once, or never if a
// partition is in between. There is no clock, so a leader without a quorum stays leader and keeps its
// uncommitted tail.
template <class Key, class Value>
class Cluster {
public:
    using Member = Replica<Key, Value>;

    explicit Cluster(std::size_t size) : replicas_(size), connected_(size, true) {
        if (size == 0) throw std::invalid_argument("a cluster needs at least one replica");
    }

    std::size_t size() const { return replicas_.size(); }
    const Member& leader() const { return replicas_.front(); }
    const Member& replica(std::size_t id) const { return replicas_.at(id); }

    // Appends at the leader and replicates. The entry is committed if leader().commit_index() has reached
    // the index that is returned; if not, it waits in the log for a quorum.
    Index propose(Command<Key, Value> command) {
        const Entry<Key, Value> entry{leader().current_term(), leader().last_index() + 1, std::move(command)};
        replicas_.front().append({&entry, 1});
        deliver();
        return entry.index;
    }

    // Separates each of `ids` from everyone else. It also stands for a node that is down: a follower acts on
    // messages only, and its log outlives a restart.
    void partition(std::initializer_list<std::size_t> ids) {
        for (const auto id : ids) connected_.at(id) = false;
    }

    // Reconnects everyone; whoever was cut off catches up.
    void heal() {
        connected_.assign(size(), true);
        deliver();
    }

private:
    // First the entries reach the followers, then the commit index that their answers allow.
    void deliver() {
        for_each_reachable([&](Member& follower) {
            follower.append(std::span(leader().log()).subspan(follower.last_index()));
        });
        Index committed = leader().commit_index();
        while (has_quorum(committed + 1)) ++committed;
        replicas_.front().commit(committed);
        for_each_reachable([&](Member& follower) { follower.commit(committed); });
    }

    // A majority of all members, not only of those within reach. A follower that was cut off after it had
    // stored an entry still counts for it. Every entry is of the leader's own term, as commitment by
    // counting demands.
    bool has_quorum(Index index) const {
        const auto has_it = [index](const Member& replica) { return replica.last_index() >= index; };
        const auto stored = std::ranges::count_if(replicas_, has_it);
        return 2 * static_cast<std::size_t>(stored) > size();
    }

    template <class Action>
    void for_each_reachable(Action action) {
        if (!connected_.front()) return;
        for (std::size_t id = 1; id < size(); ++id) {
            if (connected_[id]) action(replicas_[id]);
        }
    }

    std::vector<Member> replicas_;
    std::vector<bool> connected_;
};

}  // namespace dkv
