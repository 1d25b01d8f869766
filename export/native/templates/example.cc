// The recorded events through every network, from several threads; the exit status is 0 if all outputs are
// as they were recorded. Argument: the folder `vectors` of this package.
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

$includes

namespace {

// Events with what they have to give: outputs may differ by `tolerance`.
struct Recorded {
  long events = 0;
  double tolerance = 0;
  std::vector<double> raw, y;
  std::vector<float> x;
};

double number(std::istream& file) {
  std::string word;
  file >> word;
  return std::strtod(word.c_str(), nullptr);
}

Recorded read(const std::string& path, int inputs, int outputs) {
  std::ifstream file(path);
  Recorded made;
  made.events = static_cast<long>(number(file));
  made.tolerance = number(file);
  for (long event = 0; event < made.events; ++event) {
    for (int i = 0; i < inputs; ++i) made.raw.push_back(number(file));
    for (int i = 0; i < inputs; ++i) made.x.push_back(static_cast<float>(number(file)));
    for (int o = 0; o < outputs; ++o) made.y.push_back(number(file));
  }
  if (!file || made.events == 0) {
    std::fprintf(stderr, "%s is no file of recorded events\n", path.c_str());
    std::exit(2);
  }
  return made;
}

// The outputs that differ when `batch` events are given to each call.
template <class Result>
long differing(void (*run)(const float*, Result*, long), const Recorded& recorded, long inputs, long outputs,
               long batch) {
  std::vector<Result> y(recorded.y.size());
  for (long event = 0; event < recorded.events; event += batch) {
    const long rest = recorded.events - event;
    run(recorded.x.data() + event * inputs, y.data() + event * outputs, rest < batch ? rest : batch);
  }
  long count = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (!(std::abs(static_cast<double>(y[i]) - recorded.y[i]) <= recorded.tolerance)) ++count;
  }
  return count;
}

template <class Result>
bool passes(const char* name, void (*run)(const float*, Result*, long),
            long (*prepare)(const double*, const unsigned char*, float*, long), int inputs, int outputs,
            const std::string& folder) {
  const Recorded recorded = read(folder + "/" + name + ".txt", inputs, outputs);
  std::vector<float> x(recorded.x.size());
  const long without_place = prepare(recorded.raw.data(), nullptr, x.data(), recorded.events);
  const bool prepared = without_place == 0 && x == recorded.x;

  const std::array<long, 4> batches{1, 3, 40, recorded.events};  // one thread each
  std::array<long, 4> counts{};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < batches.size(); ++t) {
    threads.emplace_back([&, t] { counts[t] = differing(run, recorded, inputs, outputs, batches[t]); });
  }
  for (auto& thread : threads) thread.join();
  const long count = counts[0] + counts[1] + counts[2] + counts[3];
  std::printf("%s: %ld events, inputs %s, %ld of %zu outputs differ by more than %g\n", name, recorded.events,
              prepared ? "as recorded" : "DIFFER", count, batches.size() * recorded.y.size(), recorded.tolerance);
  return prepared && count == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s VECTORS\n", argv[0]);
    return 2;
  }
  const std::string folder = argv[1];
  bool passed = true;
$checks
  return passed ? 0 : 1;
}
