//! What a host process inherits from the program that has started it, and what others of the net,
//! who wait for it, too, must not feel.

use std::fs;

/// Leaves what ranks that program, as far as a process without privileges may. What cannot be left:
/// a nice value above 0, the policy SCHED_IDLE (where RLIMIT_NICE is 0), the control group with its
/// limits, the set of processors of a cpuset, a filter of seccomp, and the namespaces.
pub fn leave() {
    let ordinary = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters and the set of processors are locals of this function; the other
    // arguments are numbers.
    unsafe {
        libc::sched_setscheduler(0, libc::SCHED_OTHER, &ordinary);
        libc::setpriority(libc::PRIO_PROCESS, 0, 0);
        // The kernel takes those of them that the cpuset allows.
        let mut processors: libc::cpu_set_t = std::mem::zeroed();
        for number in 0..libc::CPU_SETSIZE as usize {
            libc::CPU_SET(number, &mut processors);
        }
        libc::sched_setaffinity(0, size_of_val(&processors), &processors);
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_NONE);
        libc::prctl(libc::PR_SET_TIMERSLACK, TIMER_SLACK);
        libc::umask(0o022);
    }
    // Only what this user had raised may be lowered again.
    let _ = fs::write("/proc/self/oom_score_adj", "0");
}

/// The argument of ioprio_set(2) that names a process, as in linux/ioprio.h.
const IOPRIO_WHO_PROCESS: i32 = 1;

/// The priority of input and output that follows the nice value.
const IOPRIO_NONE: i32 = 0;

/// How late timers may be, in nanoseconds: the kernel's own value.
const TIMER_SLACK: libc::c_ulong = 50_000;
