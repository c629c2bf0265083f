/*
 * Failpoints: named places at which a test build (`make FAILPOINTS=1`) can be
 * told to die or to stand still. In any other build they are nothing.
 *
 * SPEEDY_FAILPOINTS in the environment, or the file named by
 * SPEEDY_FAILPOINTS_FILE (read again at every hit, so that it can change at
 * run time), holds `name=action` words separated by blanks:
 *   kill         raise SIGKILL, once: in the file the word is removed first
 *   pause:PATH   create PATH.hit, then wait until PATH.hit is gone (bounded
 *                by 60 s)
 */
#ifndef SPEEDY_FAILPOINT_H
#define SPEEDY_FAILPOINT_H

#ifdef SPEEDY_FAILPOINTS
void speedy_failpoint_hit(const char *name);
#define speedy_failpoint(name) speedy_failpoint_hit(name)
#else
#define speedy_failpoint(name) ((void)0)
#endif

#endif
