// The network under names of its own: others can be in the same program, of whatever version and flags.
#include "triggerforge_$name.h"

#define triggerforge triggerforge_${name}_parts
#define triggerforge_run triggerforge_${name}_run

#include "$network"
