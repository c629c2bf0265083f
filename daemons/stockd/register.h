/*
 * The register of sales in Redis (`speedy:sales`).
 */
#ifndef SPEEDY_STOCKD_REGISTER_H
#define SPEEDY_STOCKD_REGISTER_H

/* A sale's state has changed: write the register anew soon. Any thread. */
void stockd_register_again(void);

#endif
