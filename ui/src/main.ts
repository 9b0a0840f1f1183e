import './shell/languageFallback';
import './theme.css';
import './layout.css';

import { mount } from 'svelte';

import App from './shell/App.svelte';

const target = document.getElementById('app');
if (target) mount(App, { target });
