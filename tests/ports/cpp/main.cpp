// Runs one exam of dkv against a cluster written in C++ and prints the SHA-256 of what it leaves behind. It
// shares no code with the Rust implementation: that both leave the same bytes is the point.
#include "workload.hpp"

#include <charconv>
#include <exception>
#include <fstream>
#include <iostream>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>

namespace {

constexpr auto usage =
    "usage: workload --seed N --ops N --keys N --scenario default|partition|normal|fault [--out FILE]\n";

struct BadArguments : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

struct Arguments {
    dkv::Workload workload;
    std::optional<std::string> out;
};

// Decimal digits and nothing else.
template <class Number>
Number number(const std::string& option, const std::string& text, Number min) {
    Number value{};
    const auto end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stop != end || value < min) {
        throw BadArguments(option + " must be a whole number from " + std::to_string(min) + " to " +
                           std::to_string(std::numeric_limits<Number>::max()) + ", not '" + text + "'");
    }
    return value;
}

template <class T>
T required(const std::string& option, const std::optional<T>& value) {
    if (!value) throw BadArguments(option + " is missing");
    return *value;
}

Arguments parse(int count, char** arguments) {
    std::optional<std::uint64_t> seed, keys;
    std::optional<std::uint32_t> ops;
    std::optional<dkv::Scenario> scenario;
    std::optional<std::string> out;
    for (int i = 1; i < count; i += 2) {
        const std::string option = arguments[i];
        const std::string value = i + 1 < count ? arguments[i + 1] : "";
        if (option == "--seed") {
            seed = number<std::uint64_t>(option, value, 0);
        } else if (option == "--ops") {
            ops = number<std::uint32_t>(option, value, 0);
        } else if (option == "--keys") {
            keys = number<std::uint64_t>(option, value, 1);
        } else if (option == "--scenario") {
            scenario = dkv::scenario_named(value);
            if (!scenario) {
                throw BadArguments("--scenario is default, partition, normal or fault, not '" + value + "'");
            }
        } else if (option == "--out") {
            if (value.empty()) throw BadArguments("--out needs the name of a file");
            out = value;
        } else {
            throw BadArguments("unexpected argument '" + option + "'");
        }
    }
    const dkv::Workload workload{
        required("--seed", seed),
        required("--ops", ops),
        required("--keys", keys),
        required("--scenario", scenario),
    };
    return {workload, out};
}

void write_file(const std::string& path, const dkv::Bytes& bytes) {
    std::ofstream file(path, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) throw std::runtime_error("cannot write " + path);
}

}  // namespace

int main(int count, char** arguments) {
    try {
        const auto [workload, out] = parse(count, arguments);
        const auto answer = dkv::run(workload);
        if (out) write_file(*out, answer);
        std::cout << dkv::sha256(answer) << std::endl;
        if (!std::cout) throw std::runtime_error("cannot write to standard output");
        return 0;
    } catch (const BadArguments& error) {
        std::cerr << "workload: " << error.what() << '\n' << usage;
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "workload: " << error.what() << '\n';
        return 1;
    }
}
