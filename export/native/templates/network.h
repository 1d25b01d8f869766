/* One network. Thread-safe: a call keeps nothing and allocates nothing. */
#ifndef TRIGGERFORGE_NETWORK_H
#define TRIGGERFORGE_NETWORK_H

#ifdef __cplusplus
extern "C" {
#endif

/* y[events][$outputs] for x[events][$inputs]. */
void triggerforge_run(const float* x, $result* y, long events);

#ifdef __cplusplus
}
#endif

#endif
