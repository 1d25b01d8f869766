// The network for Python. bind(x, y) gives a call that reads x and writes y, with no argument to parse;
// predictor(otherwise) gives a call that takes x and makes y, and leaves what is no such x to `otherwise`.
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
#include <structmember.h>

#include <cstdint>
#include <cstring>

#include "network.h"

namespace {

constexpr npy_intp shape[] = {$shape};
constexpr int axes = sizeof shape / sizeof shape[0];
constexpr Py_ssize_t inputs = $inputs, outputs = $outputs;
constexpr Py_ssize_t input_bytes = inputs * sizeof(float), output_bytes = outputs * sizeof($result);
constexpr bool has_grid = $has_grid;
constexpr Py_ssize_t events_with_the_lock = 64;  // handing the interpreter's lock back costs as much

// The grid of the inputs, for as many as grid_period: whole events.
constexpr Py_ssize_t grid_period = $grid_period;
constexpr float grid_scale[] = {$grid_scales};
constexpr float grid_step[] = {$grid_steps};
constexpr float grid_low[] = {$grid_lows};
constexpr float grid_high[] = {$grid_highs};

// Not 0 where x is no number of input i's grid, or no number.
inline std::uint32_t off_grid(float x, Py_ssize_t i) {
  const float steps = x * grid_scale[i];
  const float above = steps > grid_low[i] ? steps : grid_low[i];
  const float inside = above < grid_high[i] ? above : grid_high[i];
  return static_cast<float>(static_cast<std::int32_t>(inside)) * grid_step[i] != x;
}

bool all_on_grid(const float* x, Py_ssize_t count) {
  std::uint32_t off = 0;
  Py_ssize_t first = 0;
  for (; first + grid_period <= count; first += grid_period) {
    for (Py_ssize_t i = 0; i < grid_period; ++i) off |= off_grid(x[first + i], i);
  }
  for (Py_ssize_t i = 0; first + i < count; ++i) off |= off_grid(x[first + i], i);
  return off == 0;
}

// Whether all inputs lie on the grid, where there is one. What was computed is looked at while it is in
// the cache; a part fills whole registers with events.
bool run_and_look(const float* x, $result* y, Py_ssize_t events) {
  if constexpr (!has_grid) {
    triggerforge_run(x, y, events);
    return true;
  }
  constexpr Py_ssize_t lanes = __BIGGEST_ALIGNMENT__, fitting = (128 << 10) / input_bytes / lanes * lanes;
  constexpr Py_ssize_t part = fitting > lanes ? fitting : lanes;
  for (Py_ssize_t first = 0; first < events; first += part) {
    const Py_ssize_t here = events - first < part ? events - first : part;
    triggerforge_run(x + first * inputs, y + first * outputs, here);
    if (!all_on_grid(x + first * inputs, here * inputs)) return false;
  }
  return true;
}

// `Run` is triggerforge_run or run_and_look.
template <class Run>
auto with_or_without_the_lock(Run run, const float* x, $result* y, Py_ssize_t events) {
  if (events <= events_with_the_lock) return run(x, y, events);
  struct Unlocked {
    PyThreadState* state = PyEval_SaveThread();
    ~Unlocked() { PyEval_RestoreThread(state); }
  } unlocked;
  return run(x, y, events);
}

bool is_input(PyArrayObject* x) {
  if (PyArray_TYPE(x) != NPY_FLOAT32 || PyArray_NDIM(x) != axes + 1 || !PyArray_ISCARRAY_RO(x)) return false;
  for (int axis = 0; axis < axes; ++axis) {
    if (PyArray_DIM(x, axis + 1) != shape[axis]) return false;
  }
  return true;
}

struct Predictor {
  PyObject_HEAD
  PyObject* otherwise;
  vectorcallfunc call;
};

PyObject* predict(PyObject* self, PyObject* const* arguments, size_t count, PyObject* names) {
  if (PyVectorcall_NARGS(count) != 1 || names != nullptr || !PyArray_Check(arguments[0]) ||
      !is_input(reinterpret_cast<PyArrayObject*>(arguments[0]))) {
    return PyObject_Vectorcall(reinterpret_cast<Predictor*>(self)->otherwise, arguments, count, names);
  }
  auto* x = reinterpret_cast<PyArrayObject*>(arguments[0]);
  npy_intp sizes[] = {PyArray_DIM(x, 0), outputs};
  PyObject* y = PyArray_SimpleNew(2, sizes, $numpy_result);
  if (y == nullptr) return nullptr;
  const auto* from = static_cast<const float*>(PyArray_DATA(x));
  auto* to = static_cast<$result*>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(y)));
  if (!with_or_without_the_lock(run_and_look, from, to, sizes[0])) {
    Py_DECREF(y);
    return PyObject_Vectorcall(reinterpret_cast<Predictor*>(self)->otherwise, arguments, count, names);
  }
  return y;
}

void release_predictor(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_DECREF(reinterpret_cast<Predictor*>(self)->otherwise);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* predictor_type = nullptr;

PyObject* predictor(PyObject*, PyObject* otherwise) {
  auto* made = PyObject_New(Predictor, reinterpret_cast<PyTypeObject*>(predictor_type));
  if (made == nullptr) return nullptr;
  made->otherwise = Py_NewRef(otherwise);
  made->call = predict;
  return reinterpret_cast<PyObject*>(made);
}

struct Bound {
  PyObject_HEAD
  Py_buffer x, y;  // hold the arrays: they cannot be freed or resized while this lives
  Py_ssize_t events;
  vectorcallfunc call;
};

PyObject* run(PyObject* self, PyObject* const*, size_t arguments, PyObject*) {
  if (PyVectorcall_NARGS(arguments) != 0) {
    PyErr_SetString(PyExc_TypeError, "a bound call takes no arguments");
    return nullptr;
  }
  auto* bound = reinterpret_cast<Bound*>(self);
  with_or_without_the_lock(triggerforge_run, static_cast<const float*>(bound->x.buf),
                           static_cast<$result*>(bound->y.buf), bound->events);
  Py_RETURN_NONE;
}

void release(PyObject* self) {
  auto* bound = reinterpret_cast<Bound*>(self);
  PyTypeObject* type = Py_TYPE(self);
  PyBuffer_Release(&bound->x);
  PyBuffer_Release(&bound->y);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* bound_type = nullptr;

PyObject* bind(PyObject*, PyObject* arguments) {
  PyObject *x, *y;
  if (!PyArg_ParseTuple(arguments, "OO", &x, &y)) return nullptr;
  auto* bound = PyObject_New(Bound, reinterpret_cast<PyTypeObject*>(bound_type));
  if (bound == nullptr) return nullptr;
  bound->x = bound->y = Py_buffer{};
  bound->call = run;
  auto* result = reinterpret_cast<PyObject*>(bound);
  if (PyObject_GetBuffer(x, &bound->x, PyBUF_C_CONTIGUOUS) != 0 ||
      PyObject_GetBuffer(y, &bound->y, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) != 0) {
    Py_DECREF(result);
    return nullptr;
  }
  bound->events = bound->x.len / input_bytes;
  if (bound->x.len != bound->events * input_bytes || bound->y.len != bound->events * output_bytes) {
    PyErr_Format(PyExc_ValueError, "%zd and %zd bytes are no inputs and outputs of one number of events",
                 bound->x.len, bound->y.len);
    Py_DECREF(result);
    return nullptr;
  }
  return result;
}

constexpr unsigned long flags =
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION;
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Bound, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};
PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(release)},
                       {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                       {Py_tp_members, members},
                       {0, nullptr}};
PyType_Spec spec = {"network.Bound", sizeof(Bound), 0, flags, slots};
PyMemberDef predictor_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Predictor, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};
PyType_Slot predictor_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(release_predictor)},
                                 {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                                 {Py_tp_members, predictor_members},
                                 {0, nullptr}};
PyType_Spec predictor_spec = {"network.Predictor", sizeof(Predictor), 0, flags, predictor_slots};
PyMethodDef methods[] = {
    {"bind", bind, METH_VARARGS, "bind(x, y): a call that reads x and writes y"},
    {"predictor", predictor, METH_O, "predictor(otherwise): a call that makes y of x"},
    {nullptr, nullptr, 0, nullptr}};

int fill(PyObject*) {
  if (PyArray_ImportNumPyAPI() < 0) return -1;
  if (bound_type == nullptr) bound_type = PyType_FromSpec(&spec);
  if (predictor_type == nullptr) predictor_type = PyType_FromSpec(&predictor_spec);
  return bound_type == nullptr || predictor_type == nullptr ? -1 : 0;
}

// in two steps, or all libraries of this name would share one module
PyModuleDef_Slot steps[] = {{Py_mod_exec, reinterpret_cast<void*>(fill)}, {0, nullptr}};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "network", nullptr, 0, methods, steps, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_network() { return PyModuleDef_Init(&module); }
