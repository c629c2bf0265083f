/*
 * The scan of ledgers for orders that MySQL does not know. It is the one
 * place that puts orders into `pend` again; who must rule that out for a
 * while (archive.c) holds it.
 */
#ifndef SPEEDY_STOCKD_SCAN_H
#define SPEEDY_STOCKD_SCAN_H

void stockd_scan_hold(void);
void stockd_scan_release(void);

#endif
