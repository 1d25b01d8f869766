// The network for Python: bind(x, y) gives a call that reads x and writes y, with no argument to parse.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "network.h"

namespace {

constexpr Py_ssize_t input_bytes = $inputs * sizeof(float), output_bytes = $outputs * sizeof($result);
constexpr Py_ssize_t events_with_the_lock = 64;  // handing the interpreter's lock back costs as much

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
  auto* x = static_cast<const float*>(bound->x.buf);
  auto* y = static_cast<$result*>(bound->y.buf);
  if (bound->events <= events_with_the_lock) {
    triggerforge_run(x, y, bound->events);
  } else {
    Py_BEGIN_ALLOW_THREADS triggerforge_run(x, y, bound->events);
    Py_END_ALLOW_THREADS
  }
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

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Bound, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};
PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(release)},
                       {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                       {Py_tp_members, members},
                       {0, nullptr}};
PyType_Spec spec = {"network.Bound", sizeof(Bound), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                    slots};
PyMethodDef methods[] = {{"bind", bind, METH_VARARGS, "bind(x, y): a call that reads x and writes y"},
                         {nullptr, nullptr, 0, nullptr}};
PyModuleDef module = {PyModuleDef_HEAD_INIT, "network", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_network() {
  bound_type = PyType_FromSpec(&spec);
  return bound_type == nullptr ? nullptr : PyModule_Create(&module);
}
