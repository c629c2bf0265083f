/*
 * Images: told from their bytes, refused before anything decodes them, kept
 * under their digest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../../daemons/common/crypto.h"
#include "../../../daemons/productd/image.h"
#include "../../../daemons/productd/productd.h"
#include "../common/shop_db.h"
#include "rig.h"

#define UPLOAD "/admin/products/shoe/images?reason=photo"

static struct speedy_buf file;

static void big(uint32_t n)
{
    const unsigned char b[4] = {n >> 24, n >> 16, n >> 8, n};

    speedy_buf_add(&file, b, 4);
}

static void chunk(const char *name, const void *data, uint32_t len)
{
    big(len);
    speedy_buf_add(&file, name, 4);
    speedy_buf_add(&file, data, len);
    big(0); /* its checksum, which nobody of ours reads */
}

static void png(uint32_t width, uint32_t height)
{
    unsigned char header[13] = {width >> 24,
                                width >> 16,
                                width >> 8,
                                width,
                                height >> 24,
                                height >> 16,
                                height >> 8,
                                height,
                                8,
                                2,
                                0,
                                0,
                                0};

    file.len = 0;
    speedy_buf_add(&file, "\x89PNG\r\n\x1a\n", 8);
    chunk("IHDR", header, 13);
    chunk("IDAT", "pixels", 6);
    chunk("IEND", "", 0);
}

static void jpeg(unsigned width, unsigned height)
{
    const unsigned char frame[] = {
        0xff,  0xd8, 0xff, 0xe0, 0,   4,           'J',    'F',
        0xff,  0xc0, 0,    11,   8,   height >> 8, height, width >> 8,
        width, 1,    1,    0x11, 0,   0xff,        0xda,   0,
        2,     'x',  'y',  0xff, 0xd9};

    file.len = 0;
    speedy_buf_add(&file, frame, sizeof(frame));
}

static void webp(const char *kind, const unsigned char *data, unsigned len)
{
    const unsigned char size[4] = {12 + len, 0, 0, 0};
    const unsigned char chunk_size[4] = {len, 0, 0, 0};

    file.len = 0;
    speedy_buf_add(&file, "RIFF", 4);
    speedy_buf_add(&file, size, 4);
    speedy_buf_add(&file, "WEBP", 4);
    speedy_buf_add(&file, kind, 4);
    speedy_buf_add(&file, chunk_size, 4);
    speedy_buf_add(&file, data, len);
}

static int look(struct productd_image_facts *f)
{
    /* a copy that ends where the data does: valgrind and ASan see a step
       beyond */
    char *copy = malloc(file.len + 1);
    int n;

    memcpy(copy, file.data, file.len);
    n = productd_image_look(copy, file.len, f);
    free(copy);
    return n;
}

static void headers_are_read(void **state)
{
    static const unsigned char vp8x[] = {0, 0, 0, 0, 0xff, 0, 0, 0x8f, 1, 0};
    static const unsigned char vp8l[] = {0x2f, 0x3f, 0xc0, 0x07, 0,
                                         0,    0,    0,    0,    0};
    static const unsigned char vp8[] = {0, 0, 0, 0x9d, 1, 0x2a, 64, 1, 200, 0};
    struct productd_image_facts f;

    (void)state;
    png(640, 480);
    assert_int_equal(look(&f), PRODUCTD_IMAGE_OK);
    assert_string_equal(f.type, "png");
    assert_int_equal(f.width, 640);
    assert_int_equal(f.height, 480);
    jpeg(300, 200);
    assert_int_equal(look(&f), PRODUCTD_IMAGE_OK);
    assert_string_equal(f.type, "jpg");
    assert_int_equal(f.width * 1000 + f.height, 300200);
    webp("VP8X", vp8x, sizeof(vp8x));
    assert_int_equal(look(&f), PRODUCTD_IMAGE_OK);
    assert_int_equal(f.width * 1000 + f.height, 256400);
    webp("VP8L", vp8l, sizeof(vp8l));
    assert_int_equal(look(&f), PRODUCTD_IMAGE_OK);
    assert_int_equal(f.width, 64);
    webp("VP8 ", vp8, sizeof(vp8));
    assert_int_equal(look(&f), PRODUCTD_IMAGE_OK);
    assert_int_equal(f.width * 1000 + f.height, 320200);
}

static void every_cut_is_told(void **state)
{
    struct productd_image_facts f;

    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        size_t len;

        if (kind == 0)
            png(10, 10);
        else
            jpeg(10, 10);
        len = file.len;
        for (file.len = 0; file.len < len; file.len++)
            assert_int_not_equal(look(&f), PRODUCTD_IMAGE_OK);
    }
    /* and any byte but the pixels' may be anything */
    for (int seed = 1; seed < 20000; seed++) {
        png(10, 10);
        if (seed % 3 == 1)
            jpeg(10, 10);
        for (int i = 0; i < 3; i++) {
            unsigned at = (unsigned)(seed * 2654435761u >> (i * 5 + 3));

            file.data[at % file.len] = (char)(seed * 31 + i * 77);
        }
        look(&f);
    }
}

static void a_side_is_bounded(void **state)
{
    struct productd_image_facts f;

    (void)state;
    png(10000, 10000);
    assert_int_equal(look(&f), PRODUCTD_IMAGE_OK);
    png(10001, 1);
    assert_int_equal(look(&f), PRODUCTD_IMAGE_SIZE);
    png(0, 5);
    assert_int_equal(look(&f), PRODUCTD_IMAGE_SIZE);
    jpeg(50000, 50000);
    assert_int_equal(look(&f), PRODUCTD_IMAGE_SIZE);
    png(0xffffffff, 0xffffffff);
    assert_int_equal(look(&f), PRODUCTD_IMAGE_SIZE);
}

static long upload(const char *path, const char *type)
{
    return rig_ask("POST", path, "t1", "OPERATOR", type, file.data, file.len,
                   NULL);
}

static int files(void)
{
    DIR *d = opendir(productd_settings.images);
    int n = 0;

    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

static void an_upload_is_kept_once(void **state)
{
    unsigned char digest[32];
    char hash[65], other[65], url[120], patch[300], path[400];

    (void)state;
    png(640, 480);
    speedy_sha256(file.data, file.len, digest);
    speedy_hex(digest, 32, hash);
    assert_int_equal(upload(UPLOAD, "image/png"), 201);
    snprintf(url, sizeof(url), "\"url\":\"/images/%s.png\"", hash);
    assert_true(rig_says(url));
    assert_true(rig_says("\"width\":640,\"height\":480"));
    /* the content tells the type, not the client */
    assert_int_equal(upload(UPLOAD, "image/jpeg"), 201);
    assert_true(rig_says(url));
    assert_int_equal(files(), 1);
    jpeg(30, 20);
    assert_int_equal(upload(UPLOAD, "image/jpeg"), 201);
    assert_int_equal(files(), 2);
    speedy_sha256(file.data, file.len, digest);
    speedy_hex(digest, 32, other);
    snprintf(path, sizeof(path), "%s/%s.jpg", productd_settings.images, other);
    assert_int_equal(access(path, R_OK), 0);
    assert_int_equal(rig_get("/api/v1/products/shoe"), 200);
    assert_true(rig_says(url));
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM product_images"), 2);
    /* another order, and one of them away */
    snprintf(patch, sizeof(patch),
             "{\"images\":[\"%s\"],\"version\":4,\"reason\":\"r\"}", hash);
    assert_int_equal(rig_act("PATCH", "/admin/products/shoe", patch), 200);
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM product_images"), 1);
    hash[0] = hash[0] == '0' ? '1' : '0';
    snprintf(patch, sizeof(patch),
             "{\"images\":[\"%s\"],\"version\":5,\"reason\":\"r\"}", hash);
    assert_int_equal(rig_act("PATCH", "/admin/products/shoe", patch), 404);
    assert_true(rig_says("\"code\":\"image_not_found\""));
    assert_int_equal(shop_db_number("SELECT COUNT(*) FROM product_images"), 1);
}

static void no_image_is_no_image(void **state)
{
    static const char html[] =
        "<html><script>alert(1)</script></html>                    ";
    int before = files();

    (void)state;
    file.len = 0;
    speedy_buf_add(&file, html, sizeof(html) - 1);
    assert_int_equal(upload(UPLOAD, "image/png"), 400);
    assert_true(rig_says("\"code\":\"image_type\""));
    assert_int_equal(upload(UPLOAD, "text/html"), 415);
    file.len = 0;
    assert_int_equal(upload(UPLOAD, "image/png"), 400);
    jpeg(50000, 50000);
    assert_int_equal(upload(UPLOAD, "image/jpeg"), 400);
    assert_true(rig_says("\"code\":\"image_dimensions\""));
    png(10, 10);
    speedy_buf_add(&file, html, sizeof(html) - 1);
    assert_int_equal(upload(UPLOAD, "image/png"), 400);
    assert_true(rig_says("\"code\":\"image_damaged\""));
    /* a bit more than 5 MB */
    png(10, 10);
    while (file.len <= PRODUCTD_IMAGE_MOST)
        speedy_buf_add(&file, html, sizeof(html) - 1);
    assert_int_equal(upload(UPLOAD, "image/png"), 413);
    assert_true(rig_says("\"code\":\"too_large\""));
    png(11, 11);
    assert_int_equal(upload("/admin/products/shoe/images", "image/png"), 400);
    assert_true(rig_says("\"code\":\"reason_required\""));
    assert_int_equal(rig_ask("POST", UPLOAD, "t2", "OPERATOR", "image/png",
                             file.data, file.len, NULL),
                     403);
    assert_int_equal(files(), before);
    assert_int_equal(
        upload("/admin/products/none/images?reason=r", "image/png"), 404);
}

static int setup(void **state)
{
    if (rig_start(state) != 0)
        return -1;
    return rig_act("POST", "/admin/products",
                   "{\"id\":\"shoe\",\"name\":\"Shoe\",\"price\":1,"
                   "\"reason\":\"new\"}") == 201
               ? 0
               : -1;
}

static int teardown(void **state)
{
    speedy_buf_free(&file);
    return rig_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_read),
        cmocka_unit_test(every_cut_is_told),
        cmocka_unit_test(a_side_is_bounded),
        cmocka_unit_test(an_upload_is_kept_once),
        cmocka_unit_test(no_image_is_no_image),
    };

    return cmocka_run_group_tests_name("productd images", tests, setup,
                                       teardown);
}
