//! Files after public reports of what resizers get wrong, each with what a user should get.

mod bitmaps;
