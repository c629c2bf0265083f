/*
 * A product: what is shown of it, and what operators do to it. A product's
 * price is what a new sale of it asks.
 */
#ifndef SPEEDY_PRODUCT_H
#define SPEEDY_PRODUCT_H

#include "act.h"
#include "names.h"

#define SPEEDY_NAME_MAX 200         /* characters */
#define SPEEDY_DESCRIPTION_MAX 4000 /* characters */
#define SPEEDY_OPTIONS_MAX 2000     /* bytes of JSON */
#define SPEEDY_IMAGES_MAX 10 /* of a product; GROUP_CONCAT cuts at 1024 */
#define SPEEDY_HASH_HEX 64

/* On the way in, NULL (price: 0) stands for what is not given. */
struct speedy_product {
    const char *id, *name;
    int64_t price;
    const char *description, *category;
    const char *options; /* JSON, [{"name","values"}] */
    const char *state;   /* SHOWN, HIDDEN */
    /* the images in their order; image_count -1: as they are */
    int image_count;
    const char *images[SPEEDY_IMAGES_MAX];
    int64_t version; /* out: after the act */
};

/* Each one transaction; enum speedy_act_result or speedy_db_status. */
int speedy_product_add(struct speedy_act *a, struct speedy_product *p);
int speedy_product_change(struct speedy_act *a, struct speedy_product *p);

/* An image, whose bytes are stored already, becomes the product's last. */
struct speedy_image {
    char hash[SPEEDY_HASH_HEX + 1];
    const char *type; /* png, jpg, webp: its file's extension too */
    int64_t bytes, width, height;
};
int speedy_product_image(struct speedy_act *a, const char *product,
                         const struct speedy_image *image, int64_t *version);

#endif
